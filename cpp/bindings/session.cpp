// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "bindings.h"
#include "model/format.h"
#include "runtime/fork_count.h"

namespace edgeml {
namespace {

namespace py = pybind11;
using Clock = std::chrono::steady_clock;

// A run that is shorter keeps the GIL: giving it up and taking it back costs a tenth of a microsecond alone, and
// another thread that wanted it would gain less than a switch costs.
constexpr auto kQuickRunMax = std::chrono::microseconds(20);

InferenceSession open(const py::object& source, const SessionOptions& options) {
  Result<InferenceSession> result = [&] {
    if (py::isinstance<py::bytes>(source)) {
      const auto bytes = source.cast<std::string_view>();
      const py::gil_scoped_release unlocked;
      return InferenceSession::open(std::as_bytes(std::span(bytes)), options);
    }
    const auto path = source.cast<std::string>();
    const py::gil_scoped_release unlocked;
    return InferenceSession::open(path, options);
  }();
  if (!result.ok()) raise(result.error());
  return std::move(result).value();
}

std::vector<ArrayPort> ports_of(const std::vector<TensorInfo>& infos, std::int64_t declared_batch) {
  std::vector<ArrayPort> ports;
  ports.reserve(infos.size());
  for (const TensorInfo& info : infos) ports.emplace_back(info, declared_batch);
  return ports;
}

}  // namespace

// What one call works on. Input arrays are held: the caller's dict may change while the GIL is given up.
struct Session::Call {
  std::int64_t batch = 0;
  std::size_t in_count = 0, out_count = 0;
  std::array<PyObject*, format::kGraphPortsMax> held;
  std::array<const void*, format::kGraphPortsMax> in;
  std::array<void*, format::kGraphPortsMax> out;
  py::object results;

  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    for (std::size_t i = 0; i < in_count; ++i) Py_DECREF(held[i]);
  }
  std::span<const void* const> inputs() const { return {in.data(), in_count}; }
  std::span<void* const> outputs() const { return {out.data(), out_count}; }
};

Session::Session(const py::object& source, int threads, std::optional<std::string> isa, std::optional<LayerRates> rates)
    : session_(open(source, {.threads = threads, .isa = std::move(isa), .rates = rates})),
      inputs_(ports_of(session_.inputs(), session_.declared_batch())),
      outputs_(ports_of(session_.outputs(), session_.declared_batch())),
      forks_(fork_count()) {}

bool Session::take_feed(PyObject* feed, Call& call) const {
  if (!PyDict_Check(feed) || std::cmp_not_equal(PyDict_GET_SIZE(feed), inputs_.size())) return false;
  call.batch = session_.declared_batch();  // of a model without inputs too
  for (const ArrayPort& port : inputs_) {
    PyObject* const array = PyDict_GetItemWithError(feed, port.name());
    if (array == nullptr) {
      if (PyErr_Occurred() != nullptr) throw py::error_already_set();
      return false;
    }
    if (!port.takes(array)) return false;
    const std::int64_t batch = port.batch_of(array);
    if (call.in_count > 0 && batch != call.batch) return false;
    call.batch = batch;
    call.held[call.in_count] = Py_NewRef(array);
    call.in[call.in_count++] = ArrayPort::data_of(array);
  }
  return true;
}

void Session::make_outputs(Call& call) const {
  call.results = py::reinterpret_steal<py::object>(PyList_New(static_cast<Py_ssize_t>(outputs_.size())));
  if (!call.results) throw py::error_already_set();
  for (const ArrayPort& port : outputs_) {
    PyObject* const array = port.new_array(call.batch);
    if (array == nullptr) throw py::error_already_set();
    PyList_SET_ITEM(call.results.ptr(), static_cast<Py_ssize_t>(call.out_count), array);
    call.out[call.out_count++] = ArrayPort::data_of(array);
  }
}

py::object Session::run(PyObject* feed) {
  Call call;
  if (!take_feed(feed, call)) return py::none();
  make_outputs(call);
  execute(call.batch, call.inputs(), call.outputs());
  return std::move(call.results);
}

void Session::prepare(const py::dict& feed, int runs, Call& call) const {
  if (runs < 1) raise("UsageError", "runs is " + std::to_string(runs) + ", expected at least 1");
  if (!take_feed(feed.ptr(), call)) raise("InputError", "the arrays are not those that the model takes");
  make_outputs(call);
}

std::vector<NodeProfile> Session::profile(const py::dict& feed, int runs) {
  Call call;
  prepare(feed, runs, call);
  std::vector<NodeProfile> nodes;
  with_batch(call.batch, [&] { nodes = session_.profile(call.inputs(), call.outputs(), runs); });
  return nodes;
}

std::vector<std::int64_t> Session::durations_ns(const py::dict& feed, int runs) {
  Call call;
  prepare(feed, runs, call);
  std::vector<std::int64_t> durations(static_cast<std::size_t>(runs));
  std::optional<Error> error;
  with_batch(call.batch, [&] {
    for (std::int64_t& ns : durations) {
      const auto start = Clock::now();
      if (const Status status = session_.execute(call.inputs(), call.outputs()); !status.ok()) error = status.error();
      ns = std::chrono::nanoseconds(Clock::now() - start).count();
    }
  });
  if (error) raise(*error);
  return durations;
}

void Session::bind(std::int64_t batch) {
  with_batch(batch, [] {});
}

template <class Read>
auto Session::read_locked(const Read& read) {
  check_fork();
  const py::gil_scoped_release unlocked;
  const std::lock_guard lock(mutex_);
  return read();
}

std::int64_t Session::arena_bytes() {
  return read_locked([this] { return session_.arena_bytes(); });
}
std::int64_t Session::live_bytes_max() {
  return read_locked([this] { return session_.live_bytes_max(); });
}
std::vector<ArenaBlock> Session::arena_blocks() {
  return read_locked([this] { return session_.arena_blocks(); });
}
std::string Session::plan_text() {
  return read_locked([this] { return session_.plan_text(); });
}

void Session::execute(std::int64_t batch, std::span<const void* const> in, std::span<void* const> out) {
  check_fork();
  // try_lock: to wait for the lock with the GIL held would stop every Python thread as long as the other run takes.
  if (is_quick_.load(std::memory_order_relaxed) && mutex_.try_lock()) {
    const std::lock_guard lock(mutex_, std::adopt_lock);
    if (session_.batch() == batch) {
      if (const Status status = session_.execute(in, out); !status.ok()) raise(status.error());
      return;
    }
  }
  std::optional<Error> error;
  with_batch(batch, [&] {
    const auto start = Clock::now();
    if (const Status status = session_.execute(in, out); !status.ok()) error = status.error();
    if (Clock::now() - start < kQuickRunMax) is_quick_.store(true, std::memory_order_relaxed);
  });
  if (error) raise(*error);
}

// Binds and works under one lock, so that no other caller binds in between. The GIL is never waited for with the lock
// held, nor the lock with the GIL held: either order alone would be safe, both together deadlock.
template <class Work>
void Session::with_batch(std::int64_t batch, const Work& work) {
  check_fork();
  std::optional<Error> error;
  {
    const py::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    if (batch != session_.batch()) is_quick_.store(false, std::memory_order_relaxed);
    if (const Status status = session_.bind(batch); !status.ok()) {
      error = status.error();
    } else {
      work();
    }
  }
  if (error) raise(*error);
}

// In a forked child the thread that held the lock at that moment, if one did, is gone and will never release it. Runs
// with the GIL held, so before any other thread of the child gets here.
void Session::check_fork() {
  const std::uint32_t forks = fork_count();
  if (forks_ == forks) return;
  if (!mutex_.try_lock()) {
    raise("EdgemlError",
          "the session was in the middle of a run when the process forked; open another one in the child process");
  }
  mutex_.unlock();
  forks_ = forks;
}

}  // namespace edgeml
