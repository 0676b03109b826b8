// SPDX-License-Identifier: Apache-2.0
// take: chosen elements along an axis, say the channels of a shuffle.
#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/checks.h"
#include "ops/index_table.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {
namespace {

using kernels::act_t;

using Words4 __attribute__((vector_size(16))) = std::uint32_t;  // byte 0 of a word is its lowest: little endian

class Take final : public Operator {
 public:
  explicit Take(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        axis_(context.attribute(0)),
        in_dims_(context.input(0).dims),
        out_dims_(context.output().dims),
        in_(in_dims_),
        out_(out_dims_) {
    const auto values = context.input(1).values<std::int32_t>();
    index_.assign(values.begin(), values.end());
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step;
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      if (axis_ == 1) {
        for_ranges(run.parallel, out_.groups, tile_count(run.parallel, out_.groups, out_.sample_step, kTileBytesMin),
                   [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                     for (std::int64_t g = begin; g < end; ++g) plane(x, y + g * out_.plane_step, g);
                   });
        continue;
      }
      for_each_element(out_dims_, [&](auto at) {
        const std::int64_t target = byte_of(out_, out_dims_, at);
        auto& position = at[static_cast<std::size_t>(axis_)];
        position = index_[static_cast<std::size_t>(position)];
        y[target] = x[byte_of(in_, in_dims_, at)];
      });
    }
  }

 private:
  // A channel of the input: its plane, and how many bits of a word stand below it.
  struct Source {
    const act_t* plane;
    int shift;

    // The channel's bytes of 4 pixels, one in each word.
    Words4 words(std::int64_t byte) const noexcept {
      Words4 words;
      std::memcpy(&words, plane + byte, sizeof words);
      return words >> shift & 0xffU;
    }
    act_t at(std::int64_t byte) const noexcept { return plane[byte + shift / 8]; }
  };

  // One plane of 4 channels from up to 4 planes of the input, 4 pixels at a time.
  void plane(const act_t* x, act_t* y, std::int64_t g) const noexcept {
    Source from[4];
    for (std::int64_t j = 0; j < 4; ++j) {
      const std::int64_t last = std::min(g * 4 + j, out_.channels - 1);  // an absent channel may hold anything
      const std::int64_t c = index_[static_cast<std::size_t>(last)];
      from[j] = {x + c / 4 * in_.plane_step, static_cast<int>(c % 4 * 8)};
    }
    const std::int64_t bytes = out_.pixels * 4;
    std::int64_t p = 0;
    for (; p + 16 <= bytes; p += 16) {
      const Words4 words = from[0].words(p) | from[1].words(p) << 8 | from[2].words(p) << 16 | from[3].words(p) << 24;
      std::memcpy(y + p, &words, sizeof words);
    }
    for (; p < bytes; p += 4) {
      for (std::int64_t j = 0; j < 4; ++j) y[p + j] = from[j].at(p);
    }
  }

  std::uint32_t x_, y_;
  std::int32_t axis_;
  Dims in_dims_, out_dims_;
  Layout in_, out_;
  std::vector<std::int32_t> index_;
};

}  // namespace

OperatorResult make_take(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, x.dims.rank));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, 0, 1, 1, x.dims.rank - 1));
  const std::int32_t axis = context.attribute(0);
  Dims expected = x.dims;
  expected[axis] = y.dims[axis];
  if (y.dims != expected) {
    return fail(ErrorCode::shape_mismatch, where(context), ": input and output differ beside axis ", axis);
  }
  EDGEML_RETURN_IF_ERROR(check_indices(context, 1, y.dims[axis], x.dims[axis]));
  return std::make_unique<Take>(context);
}

}  // namespace edgeml
