// SPDX-License-Identifier: Apache-2.0
// unary: a function of elementwise.def at every element.
#include <algorithm>
#include <cmath>

#include "kernels/f64_math/f64_math.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

struct None {};
constexpr None none;

std::int64_t negate(std::int64_t x) { return static_cast<std::int64_t>(-static_cast<std::uint64_t>(x)); }

struct Function {
  void (*floats)(double* values, std::int64_t n);  // null where the dtype is refused
  void (*integers)(std::int64_t* values, std::int64_t n);
};

template <class T, class Body>
void map(T* values, std::int64_t n, const Body& body) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<T>(body(values[i]));
}

template <class T, class Body>
constexpr auto pointer_to(Body) -> void (*)(T*, std::int64_t) {
  if constexpr (std::is_same_v<std::invoke_result_t<Body, T>, None>) {
    return nullptr;
  } else {
    return [](T* values, std::int64_t n) { map(values, n, Body{}); };
  }
}

Function function_of(std::int32_t code) {
  switch (code) {
#define EDGEML_UNARY(number, name, on_floats, on_integers)                           \
  case number:                                                                       \
    return {pointer_to<double>([]([[maybe_unused]] double x) { return on_floats; }), \
            pointer_to<std::int64_t>([]([[maybe_unused]] std::int64_t x) { return on_integers; })};
#include "model/elementwise.def"
#undef EDGEML_UNARY
    default:
      return {nullptr, nullptr};
  }
}

class Unary final : public PlainOperator {
 public:
  Unary(const OperatorContext& context, Function function)
      : PlainOperator(context),
        dtype_(context.output().dtype),
        function_(function),
        count_(context.output().dims.elements()) {}

  std::int32_t in_place_inputs() const override { return 1; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    for_ranges(call.run.parallel, count_, tile_count(call.run.parallel, count_, count_ * 64, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t i = begin; i < end; i += kBlockElements) {
                   block(call.x[0] + i * dtype_bytes(dtype_), call.y + i * dtype_bytes(dtype_),
                         std::min(kBlockElements, end - i));
                 }
               });
  }

  void block(const std::byte* from, std::byte* to, std::int64_t n) const noexcept {
    if (dtype_info(dtype_).is_float) {
      double values[kBlockElements];
      load_f64(dtype_, from, 1, n, values);
      function_.floats(values, n);
      store_f64(dtype_, values, n, to);
    } else {
      std::int64_t values[kBlockElements];
      load_s64(dtype_, from, 1, n, values);
      function_.integers(values, n);
      store_s64(dtype_, values, n, to);
    }
  }

  DType dtype_;
  Function function_;
  std::int64_t count_;
};

}  // namespace

OperatorResult make_unary(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), context.output().dims.elements()));
  const Function function = function_of(context.attribute(0));
  const bool takes =
      dtype_info(context.output().dtype).is_float ? function.floats != nullptr : function.integers != nullptr;
  if (!takes) {
    return fail(ErrorCode::bad_attribute, where(context), ": there is no function ", context.attribute(0), " of ",
                dtype_name(context.output().dtype));
  }
  return std::make_unique<Unary>(context, function);
}

}  // namespace edgeml
