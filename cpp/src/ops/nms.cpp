// SPDX-License-Identifier: Apache-2.0
// nms: of boxes [batch, boxes, 4] and scores [batch, classes, boxes] the best boxes of each class that do not overlap a
// better one: rows (batch, class, box), then rows of -1 up to the end.
#include <algorithm>
#include <array>
#include <numeric>

#include "base/int_math.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Input : int { kBoxes = 0, kScores = 1, kBoxesMax = 2, kOverlap = 3, kScore = 4 };

struct Rectangle {
  double low_y, low_x, high_y, high_x;

  double area() const { return (high_y - low_y) * (high_x - low_x); }
};

class Nms final : public PlainOperator {
 public:
  explicit Nms(const OperatorContext& context)
      : PlainOperator(context),
        batches_(item_dims(context.input(kScores))[0]),
        classes_(context.input(kScores).dims[1]),
        boxes_(context.input(kScores).dims[2]),
        rows_(context.output().dims.elements() / 3),
        centred_(context.attribute(0) != 0) {}

  // The order of a class's boxes, then those that it keeps.
  Workspace workspace() const override { return {.shared = round_up(16 * boxes_, 64), .per_thread = 0}; }
  std::int64_t work_per_sample() const override { return batches_ * classes_ * boxes_ * std::min(boxes_, rows_); }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    std::int64_t most = 0;
    load_s64(DType::s64, call.x[kBoxesMax], 1, 1, &most);
    const float overlap_max = *reinterpret_cast<const float*>(call.x[kOverlap]);
    const float score_min = *reinterpret_cast<const float*>(call.x[kScore]);
    auto* const order = reinterpret_cast<std::int64_t*>(call.run.workspace);
    std::int64_t* const kept = order + boxes_;
    auto* const y = reinterpret_cast<std::int64_t*>(call.y);
    std::int64_t row = 0;
    for (std::int64_t b = 0; b < batches_; ++b) {
      const float* const boxes = reinterpret_cast<const float*>(call.x[kBoxes]) + b * boxes_ * 4;
      for (std::int64_t c = 0; c < classes_; ++c) {
        const float* const scores = reinterpret_cast<const float*>(call.x[kScores]) + (b * classes_ + c) * boxes_;
        std::int64_t candidates = 0;
        for (std::int64_t i = 0; i < boxes_; ++i) {
          if (scores[i] > score_min) order[candidates++] = i;  // so NaN is none
        }
        std::sort(order, order + candidates, [&](std::int64_t i, std::int64_t j) {
          return scores[i] != scores[j] ? scores[i] > scores[j] : i < j;
        });
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < candidates && count < most && row < rows_; ++i) {
          const Rectangle box = rectangle(boxes + 4 * order[i]);
          const bool hidden = std::any_of(kept, kept + count, [&](std::int64_t other) {
            return overlap(box, rectangle(boxes + 4 * other)) > static_cast<double>(overlap_max);
          });
          if (hidden) continue;
          kept[count++] = order[i];
          const std::array<std::int64_t, 3> found{b, c, order[i]};
          std::copy(found.begin(), found.end(), y + 3 * row++);
        }
      }
    }
    std::fill(y + 3 * row, y + 3 * rows_, std::int64_t{-1});
  }

  Rectangle rectangle(const float* box) const noexcept {
    const double a = box[0];
    const double b = box[1];
    const double c = box[2];
    const double d = box[3];
    // Centred boxes are x, y, width, height; the others two opposite corners, y first.
    if (centred_) return {b - d / 2, a - c / 2, b + d / 2, a + c / 2};
    return {std::min(a, c), std::min(b, d), std::max(a, c), std::max(b, d)};
  }

  // Intersection over union.
  static double overlap(const Rectangle& a, const Rectangle& b) noexcept {
    const double height = std::min(a.high_y, b.high_y) - std::max(a.low_y, b.low_y);
    const double width = std::min(a.high_x, b.high_x) - std::max(a.low_x, b.low_x);
    if (!(height > 0 && width > 0)) return 0;
    return height * width / (a.area() + b.area() - height * width);
  }

  std::int64_t batches_, classes_, boxes_, rows_;
  bool centred_;
};

}  // namespace

OperatorResult make_nms(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const Dims scores = item_dims(context.input(kScores));
  if (scores.rank != 3) return fail(ErrorCode::shape_mismatch, where(context), ": the scores must have rank 3");
  for (const int input : {kBoxes, kScores, kOverlap, kScore})
    EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(static_cast<std::size_t>(input)), DType::f32));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(kBoxesMax), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.output(), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(kBoxes), scores[0] * scores[2] * 4));
  for (const int input : {kBoxesMax, kOverlap, kScore})
    EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(static_cast<std::size_t>(input)), 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, 0, 1, 0, 1));
  const std::int64_t rows = context.output().dims.elements() / 3;
  EDGEML_RETURN_IF_ERROR(
      check_elements(context, context.output(), std::clamp<std::int64_t>(rows, 1, scores.elements()) * 3));
  return std::make_unique<Nms>(context);
}

}  // namespace edgeml
