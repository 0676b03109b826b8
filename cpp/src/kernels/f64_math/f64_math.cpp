// SPDX-License-Identifier: Apache-2.0
#include "kernels/f64_math/f64_math.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

// Of the standard library only what IEEE 754 makes exact or correctly rounded is used: fabs, sqrt, fmod, nearbyint,
// floor, copysign.

namespace edgeml::kernels {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLn2High = 0x1.62e42fee00000p-1;  // its low 21 bits are 0: products with |n| < 2^21 are exact
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kHalfPi[3] = {0x1.921fb54400000p+0, 0x1.0b4611a600000p-34, 0x1.3198a2e037073p-69};

// c[0] + z (c[1] + z (c[2] + ...)).
template <std::size_t kCount>
double horner(double z, const double (&c)[kCount]) {
  double sum = c[kCount - 1];
  for (std::size_t i = kCount - 1; i-- > 0;) sum = sum * z + c[i];
  return sum;
}

double scale_by_power(double value, std::int32_t exponent) {
  // In two steps, so that neither factor leaves the normal numbers; the last product rounds once.
  const std::int32_t half = exponent / 2;
  const auto power = [](std::int32_t e) { return std::bit_cast<double>(static_cast<std::uint64_t>(e + 1023) << 52); };
  return value * power(half) * power(exponent - half);
}

// sum of x^(2k) / (2k + 1): atanh(x) / x for +x^2, atan(x) / x for -x^2; |z| <= 0.1716, tan(pi / 8)^2.
double odd_reciprocals(double z) {
  double sum = 1.0 / 47.0;
  for (std::int32_t k = 45; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return sum;
}

double sin_series(double r) {
  const double z = r * r;
  constexpr double kC[] = {1.0,
                           -1.0 / 6,
                           1.0 / 120,
                           -1.0 / 5040,
                           1.0 / 362880,
                           -1.0 / 39916800,
                           1.0 / 6227020800.0,
                           -1.0 / 1307674368000.0,
                           1.0 / 355687428096000.0};
  return r * horner(z, kC);
}

double cos_series(double r) {
  const double z = r * r;
  constexpr double kC[] = {1.0,
                           -1.0 / 2,
                           1.0 / 24,
                           -1.0 / 720,
                           1.0 / 40320,
                           -1.0 / 3628800,
                           1.0 / 479001600,
                           -1.0 / 87178291200.0,
                           1.0 / 20922789888000.0,
                           -1.0 / 6402373705728000.0};
  return horner(z, kC);
}

struct Angle {
  double r;               // |r| <= pi / 4
  std::int64_t quadrant;  // x = quadrant * pi / 2 + r
};

Angle reduce(double x) {
  // Beyond 2^30 the three parts of pi / 2 are no longer enough; there x is first taken modulo the double nearest to 2
  // pi.
  if (std::fabs(x) > 0x1p30) x = std::fmod(x, 0x1.921fb54442d18p+2);
  const double n = std::nearbyint(x * 0x1.45f306dc9c883p-1);
  return {((x - n * kHalfPi[0]) - n * kHalfPi[1]) - n * kHalfPi[2], static_cast<std::int64_t>(n)};
}

double sin_of(Angle a) {
  const double value = (a.quadrant & 1) != 0 ? cos_series(a.r) : sin_series(a.r);
  return (a.quadrant & 2) != 0 ? -value : value;
}

}  // namespace

double exp_f64(double x) noexcept {
  if (std::isnan(x)) return x;
  if (x > 709.8) return kInfinity;
  if (x < -745.2) return 0.0;
  const double n = std::nearbyint(x * 0x1.71547652b82fep+0);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  constexpr double kC[] = {
      1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
      1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
  return scale_by_power(horner(r, kC), static_cast<std::int32_t>(n));
}

double log_f64(double x) noexcept {
  if (std::isnan(x) || x == kInfinity) return x;
  if (x == 0.0) return -kInfinity;
  if (x < 0.0) return kNan;
  std::int32_t exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent = -54;
  }
  auto bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<std::int32_t>(bits >> 52) - 1023;
  bits = (bits & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1023} << 52;
  double m = std::bit_cast<double>(bits);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  const double n = exponent;
  return n * kLn2High + (2.0 * s * odd_reciprocals(s * s) + n * kLn2Low);
}

double sin_f64(double x) noexcept { return std::isfinite(x) ? sin_of(reduce(x)) : kNan; }

double cos_f64(double x) noexcept {
  if (!std::isfinite(x)) return kNan;
  const Angle a = reduce(x);
  return sin_of({a.r, a.quadrant + 1});
}

double tan_f64(double x) noexcept {
  if (!std::isfinite(x)) return kNan;
  const Angle a = reduce(x);
  return sin_of(a) / sin_of({a.r, a.quadrant + 1});
}

double atan_f64(double x) noexcept {
  if (std::isnan(x)) return x;
  constexpr double kPi2 = 0x1.921fb54442d18p+0;
  double magnitude = std::fabs(x);
  const bool inverted = magnitude > 1.0;
  if (inverted) magnitude = 1.0 / magnitude;
  const bool shifted = magnitude > 0x1.a827999fcef32p-2;  // tan(pi / 8)
  if (shifted) magnitude = (magnitude - 1.0) / (magnitude + 1.0);
  double value = magnitude * odd_reciprocals(-magnitude * magnitude);
  if (shifted) value += kPi2 / 2;
  return std::copysign(inverted ? kPi2 - value : value, x);
}

double asin_f64(double x) noexcept { return atan_f64(x / std::sqrt((1.0 - x) * (1.0 + x))); }

double acos_f64(double x) noexcept {
  if (std::isnan(x) || std::fabs(x) > 1.0) return kNan;
  return 2.0 * atan_f64(std::sqrt((1.0 - x) / (1.0 + x)));
}

double sinh_f64(double x) noexcept {
  const double magnitude = std::fabs(x);
  if (magnitude < 0.5) {
    const double z = x * x;
    constexpr double kC[] = {1.0,          1.0 / 6,        1.0 / 120,          1.0 / 5040,
                             1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800.0, 1.0 / 1307674368000.0};
    return x * horner(z, kC);
  }
  // exp(x / 2) twice: exp(x) alone overflows before sinh does.
  const double e = exp_f64(magnitude * 0.5);
  return std::copysign(0.5 * e * e - 0.5 / e / e, x);
}

double cosh_f64(double x) noexcept {
  const double e = exp_f64(std::fabs(x) * 0.5);
  return 0.5 * e * e + 0.5 / e / e;
}

double tanh_f64(double x) noexcept {
  if (std::isnan(x)) return x;
  if (std::fabs(x) > 20.0) return std::copysign(1.0, x);
  return sinh_f64(x) / cosh_f64(x);
}

double atanh_f64(double x) noexcept {
  if (std::fabs(x) < 0.17) return x * odd_reciprocals(x * x);
  return 0.5 * log_f64((1.0 + x) / (1.0 - x));
}

double asinh_f64(double x) noexcept {
  const double magnitude = std::fabs(x);
  if (magnitude < 0.17) return atanh_f64(x / std::sqrt(1.0 + x * x));
  if (magnitude > 0x1p500) return std::copysign(log_f64(magnitude) + 0x1.62e42fefa39efp-1, x);
  return std::copysign(log_f64(magnitude + std::sqrt(magnitude * magnitude + 1.0)), x);
}

double acosh_f64(double x) noexcept {
  if (!(x >= 1.0)) return kNan;
  if (x > 0x1p500) return log_f64(x) + 0x1.62e42fefa39efp-1;
  return log_f64(x + std::sqrt((x - 1.0) * (x + 1.0)));
}

// erf(x) = 2 / sqrt(pi) * exp(-x^2) * sum of 2^k x^(2k+1) / (1 * 3 * ... * (2k+1)): all terms have one sign.
double erf_f64(double x) noexcept {
  if (std::isnan(x)) return x;
  if (std::fabs(x) > 6.0) return std::copysign(1.0, x);
  const double z = 2.0 * x * x;
  double term = x;
  double sum = x;
  for (std::int32_t k = 1; std::fabs(term) > 0x1p-54 * std::fabs(sum); ++k) {
    term *= z / (2 * k + 1);
    sum += term;
  }
  return 0x1.20dd750429b6dp+0 * exp_f64(-x * x) * sum;
}

double sigmoid_f64(double x) noexcept {
  const double e = exp_f64(-std::fabs(x));
  return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

double softplus_f64(double x) noexcept {
  const double e = exp_f64(-std::fabs(x));
  // log(1 + e) = 2 atanh(e / (2 + e)), which keeps small e.
  return (x > 0.0 ? x : std::isnan(x) ? x : 0.0) + 2.0 * atanh_f64(e / (2.0 + e));
}

double pow_f64(double x, double y) noexcept {
  if (y == 0.0 || x == 1.0) return 1.0;
  if (std::isnan(x) || std::isnan(y)) return kNan;
  const bool whole = std::floor(y) == y;
  const bool odd = whole && std::fabs(y) < 0x1p53 && std::fmod(y, 2.0) != 0.0;
  if (whole && std::fabs(y) <= 64.0) {
    double value = 1.0;
    double base = x;
    for (auto n = static_cast<std::uint32_t>(std::fabs(y)); n != 0; n >>= 1) {
      if ((n & 1U) != 0) value *= base;
      if (n > 1) base *= base;
    }
    return y < 0.0 ? 1.0 / value : value;
  }
  if (y == 0.5) return std::sqrt(x == 0.0 ? std::fabs(x) : x == -kInfinity ? kInfinity : x);
  if (x < 0.0 && !whole && x != -kInfinity) return kNan;
  const double magnitude = std::fabs(x) == 1.0 ? 1.0 : exp_f64(y * log_f64(std::fabs(x)));
  return odd && std::signbit(x) ? -magnitude : magnitude;
}

double floor_mod_f64(double x, double y) noexcept {
  const double rest = std::fmod(x, y);
  return rest != 0.0 && (rest < 0.0) != (y < 0.0) ? rest + y : rest;
}

}  // namespace edgeml::kernels
