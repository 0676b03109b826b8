// SPDX-License-Identifier: Apache-2.0
// What plain operators share: tensors that are dense, row-major and of any dtype (artifact-format.md, section 5.2). In
// a graph of free batch each batch item is computed by itself, with dims [1, ...].
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/checks.h"
#include "ops/operator.h"

namespace edgeml {

inline constexpr std::size_t kPlainInputsMax = 65;

// One item's tensors.
struct PlainCall {
  const Run& run;
  std::array<const std::byte*, kPlainInputsMax> x;
  std::byte* y;
};

class PlainOperator : public Operator {
 public:
  explicit PlainOperator(const OperatorContext& context);

  void run(const Run& run) const noexcept final;
  bool reads_constants() const final { return true; }

 protected:
  virtual void run_item(const PlainCall& call) const noexcept = 0;

 private:
  struct Operand {
    std::uint32_t tensor;
    std::int64_t item_bytes;  // from one batch item to the next; 0 for what all items share
  };
  static Operand operand(const OperatorContext& context, std::uint32_t tensor);

  std::vector<Operand> inputs_;
  Operand output_;
  bool per_item_;
};

// The dims of one batch item: those of the tensor, with 1 in the place of a free batch.
Dims item_dims(const Tensor& tensor);

// Elements from one position to the next, by axis, of a dense row-major tensor.
std::array<std::int64_t, kTensorRankMax> dense_steps(const Dims& dims);

// Every operand is plain, and in a graph of free batch the output has the batch.
Status check_plain(const OperatorContext& context);
Status check_dtype(const OperatorContext& context, const Tensor& tensor, DType dtype);
Status check_elements(const OperatorContext& context, const Tensor& tensor, std::int64_t elements);
// s32 or s64.
Status check_is_index(const OperatorContext& context, const Tensor& tensor);

}  // namespace edgeml
