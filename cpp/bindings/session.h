// SPDX-License-Identifier: Apache-2.0
// One session as several Python threads share it: arrays in, arrays out, one run at a time.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "array_port.h"
#include "edgeml/inference_session.h"

namespace edgeml {

class Session {
 public:
  Session(const pybind11::object& source, int threads, std::optional<std::string> isa, std::optional<LayerRates> rates);

  const InferenceSession& get() const { return session_; }

  // {name: array} -> new list of new arrays; None, and nothing done, if the dict does not hold exactly the inputs as
  // ArrayPort::takes() wants them with one batch.
  pybind11::object run(PyObject* feed);
  // Such a dict, or InputError.
  std::vector<NodeProfile> profile(const pybind11::dict& feed, int runs);
  std::vector<std::int64_t> durations_ns(const pybind11::dict& feed, int runs);

  void bind(std::int64_t batch);
  // What depends on the bound batch is read under the lock too.
  std::int64_t arena_bytes();
  std::int64_t live_bytes_max();
  std::vector<ArenaBlock> arena_blocks();
  std::string plan_text();

  const std::vector<ArrayPort>& input_ports() const { return inputs_; }
  const std::vector<ArrayPort>& output_ports() const { return outputs_; }

  // Runs a batch that the arrays behind the addresses have. With the GIL held; raises if the batch cannot be bound or
  // the data hold an index that is out of range.
  void execute(std::int64_t batch, std::span<const void* const> in, std::span<void* const> out);

 private:
  struct Call;
  bool take_feed(PyObject* feed, Call& call) const;
  void make_outputs(Call& call) const;
  void prepare(const pybind11::dict& feed, int runs, Call& call) const;
  void check_fork();
  template <class Read>
  auto read_locked(const Read& read);
  template <class Work>
  void with_batch(std::int64_t batch, const Work& work);

  InferenceSession session_;
  std::vector<ArrayPort> inputs_, outputs_;
  std::mutex mutex_;
  std::atomic<bool> is_quick_{false};  // a run of the bound batch has been seen to take less than kQuickRunMax
  std::uint32_t forks_;                // of the process, when the session was last known to be whole
};

}  // namespace edgeml
