// SPDX-License-Identifier: Apache-2.0
// binary: a function of elementwise.def of two tensors that are broadcast against each other.
#include <algorithm>
#include <cmath>

#include "kernels/f64_math/f64_math.h"
#include "ops/broadcast.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

struct None {};
constexpr None none;
enum class ResultDType : std::uint8_t { same, truth };

std::uint64_t bits(std::int64_t x) { return static_cast<std::uint64_t>(x); }
std::int64_t wrap(std::uint64_t x) { return static_cast<std::int64_t>(x); }

// No divisor stops the program: x / 0 and x mod 0 are 0, the least integer by -1 wraps.
std::int64_t divide(std::int64_t x, std::int64_t z) {
  if (z == 0) return 0;
  return z == -1 ? wrap(-bits(x)) : x / z;
}
std::int64_t remainder(std::int64_t x, std::int64_t z) { return z == 0 || z == -1 ? 0 : x % z; }
std::int64_t floor_mod(std::int64_t x, std::int64_t z) {
  const std::int64_t rest = remainder(x, z);
  return rest != 0 && (rest < 0) != (z < 0) ? rest + z : rest;
}
std::uint64_t shift_left(std::uint64_t x, std::uint64_t z) { return z < 64 ? x << z : 0; }
std::uint64_t shift_right(std::uint64_t x, std::uint64_t z) { return z < 64 ? x >> z : 0; }

std::int64_t power(std::int64_t x, std::int64_t z) {
  if (z < 0) return x == 1 ? 1 : x == -1 ? (z % 2 == 0 ? 1 : -1) : 0;
  std::uint64_t value = 1;
  std::uint64_t base = bits(x);
  for (std::uint64_t n = bits(z); n != 0; n >>= 1, base *= base) {
    if ((n & 1U) != 0) value *= base;
  }
  return wrap(value);
}

// values[i] = f(values[i], others[i]).
template <class T>
using BlockFunction = void (*)(T* values, const T* others, std::int64_t n);

struct Function {
  BlockFunction<double> floats;  // null where the dtype is refused
  BlockFunction<std::int64_t> integers, unsigned_integers;
  ResultDType result;
};

template <class T, class As, class Body>
constexpr BlockFunction<T> pointer_to(Body) {
  if constexpr (std::is_same_v<std::invoke_result_t<Body, As, As>, None>) {
    return nullptr;
  } else {
    return [](T* values, const T* others, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i)
        values[i] = static_cast<T>(Body{}(static_cast<As>(values[i]), static_cast<As>(others[i])));
    };
  }
}

Function function_of(std::int32_t code) {
  switch (code) {
#define EDGEML_BINARY(number, name, result, on_floats, on_integers, on_unsigned)                                    \
  case number:                                                                                                      \
    return {                                                                                                        \
        pointer_to<double, double>([]([[maybe_unused]] double x, [[maybe_unused]] double z) { return on_floats; }), \
        pointer_to<std::int64_t, std::int64_t>([](std::int64_t x, std::int64_t z) { return on_integers; }),         \
        pointer_to<std::int64_t, std::uint64_t>([](std::uint64_t x, std::uint64_t z) { return on_unsigned; }),      \
        ResultDType::result};
#include "model/elementwise.def"
#undef EDGEML_BINARY
    default:
      return {nullptr, nullptr, nullptr, ResultDType::same};
  }
}

class Binary final : public PlainOperator {
 public:
  Binary(const OperatorContext& context, Function function)
      : PlainOperator(context),
        from_(context.input(0).dtype),
        to_(context.output().dtype),
        function_(function),
        rows_(item_dims(context.output()), broadcast_steps<2>(context)),
        in_place_(from_ != to_ || context.input(0).dims.elements() != context.output().dims.elements() ? 0
                  : context.input(1).dims.elements() != context.output().dims.elements()               ? 1
                                                                                                       : 2) {}

  std::int32_t in_place_inputs() const override { return in_place_; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    const std::int64_t bytes = rows_.rows() * rows_.length() * 8;
    const std::int64_t from_bytes = dtype_bytes(from_);
    for_ranges(call.run.parallel, rows_.rows(), tile_count(call.run.parallel, rows_.rows(), bytes, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 std::byte* to = call.y + begin * rows_.length() * dtype_bytes(to_);
                 rows_.for_rows(begin, end, [&](const auto& offset) {
                   for (std::int64_t i = 0; i < rows_.length(); i += kBlockElements) {
                     const std::int64_t n = std::min(kBlockElements, rows_.length() - i);
                     block(call.x[0] + (offset[0] + i * rows_.step(0)) * from_bytes,
                           call.x[1] + (offset[1] + i * rows_.step(1)) * from_bytes, to, n);
                     to += n * dtype_bytes(to_);
                   }
                 });
               });
  }

  void block(const std::byte* a, const std::byte* b, std::byte* to, std::int64_t n) const noexcept {
    if (dtype_info(from_).is_float) {
      double values[kBlockElements];
      double others[kBlockElements];
      load_f64(from_, a, rows_.step(0), n, values);
      load_f64(from_, b, rows_.step(1), n, others);
      function_.floats(values, others, n);
      store_f64(to_, values, n, to);
    } else {
      std::int64_t values[kBlockElements];
      std::int64_t others[kBlockElements];
      load_s64(from_, a, rows_.step(0), n, values);
      load_s64(from_, b, rows_.step(1), n, others);
      (from_ == DType::u64 ? function_.unsigned_integers : function_.integers)(values, others, n);
      store_s64(to_, values, n, to);
    }
  }

  DType from_, to_;
  Function function_;
  StridedRows<2> rows_;
  std::int32_t in_place_;
};

}  // namespace

OperatorResult make_binary(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const DType dtype = context.input(0).dtype;
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(1), dtype));
  EDGEML_RETURN_IF_ERROR(check_broadcast(context));
  const Function function = function_of(context.attribute(0));
  if ((dtype_info(dtype).is_float ? function.floats != nullptr : function.integers != nullptr) == false) {
    return fail(ErrorCode::bad_attribute, where(context), ": there is no function ", context.attribute(0), " of ",
                dtype_name(dtype));
  }
  EDGEML_RETURN_IF_ERROR(
      check_dtype(context, context.output(), function.result == ResultDType::truth ? DType::boolean : dtype));
  return std::make_unique<Binary>(context, function);
}

}  // namespace edgeml
