// SPDX-License-Identifier: Apache-2.0
// Transcendental functions of binary64, by our own series in a fixed order (numerics.md, section 6.2): the same bits on
// every CPU and compiler. Errors are a few units in the last place, far below half a unit of binary32.
#pragma once

namespace edgeml::kernels {

double exp_f64(double x) noexcept;
double log_f64(double x) noexcept;
double sin_f64(double x) noexcept;
double cos_f64(double x) noexcept;
double tan_f64(double x) noexcept;
double asin_f64(double x) noexcept;
double acos_f64(double x) noexcept;
double atan_f64(double x) noexcept;
double sinh_f64(double x) noexcept;
double cosh_f64(double x) noexcept;
double tanh_f64(double x) noexcept;
double asinh_f64(double x) noexcept;
double acosh_f64(double x) noexcept;
double atanh_f64(double x) noexcept;
double erf_f64(double x) noexcept;
double sigmoid_f64(double x) noexcept;
double softplus_f64(double x) noexcept;
// Special values as in IEEE 754 pow; |y| <= 64 and whole: repeated multiplication.
double pow_f64(double x, double y) noexcept;
// The remainder with the sign of the divisor.
double floor_mod_f64(double x, double y) noexcept;

}  // namespace edgeml::kernels
