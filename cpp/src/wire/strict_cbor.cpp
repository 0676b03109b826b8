// SPDX-License-Identifier: Apache-2.0
// Walks the heads of RFC 8949, section 3, with a stack of at most kCborDepthMax open containers.
#include "wire/strict_cbor.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/result.h"

namespace edgeml {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum Major : unsigned { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };

struct Head {
  unsigned major = kUnsigned;
  std::uint64_t argument = 0;
  std::size_t after = 0;  // first byte behind the head
};

// A container whose items are not all read yet.
struct Open {
  std::uint64_t items_left = 0;
  bool is_map = false;
  std::size_t key_start = 0;
  Bytes last_key;
};

class Walk {
 public:
  explicit Walk(Bytes data) : data_(data) {}

  std::string fault() {
    do {
      if (std::string why = item(); !why.empty()) return why;
    } while (depth_ > 0);
    if (at_ != data_.size()) return text("CBOR ends at byte ", at_, ", the message has ", data_.size());
    return {};
  }

 private:
  Open& top() { return open_[static_cast<std::size_t>(depth_ - 1)]; }

  // Reads one head, with the string behind it, and closes what is full then.
  std::string item() {
    Head head;
    if (std::string why = read_head(head); !why.empty()) return why;
    if (head.major > kNegative && depth_ > 0 && top().is_map && top().items_left % 2 == 0) {
      return text("CBOR map key at byte ", at_, " is not an integer");  // in Python True, 1.0 and 1 are one key
    }
    const std::uint64_t room = data_.size() - head.after;
    const bool is_container = head.major == kArray || head.major == kMap;
    if (is_container) {
      if (depth_ == kCborDepthMax) return text("CBOR is nested deeper than ", kCborDepthMax, " at byte ", at_);
      const std::uint64_t per_entry = head.major == kMap ? 2 : 1;
      if (head.argument > room / per_entry) {
        return text("CBOR container at byte ", at_, " says ", head.argument, " items, the message is too short for it");
      }
      open_[static_cast<std::size_t>(depth_++)] = {head.argument * per_entry, head.major == kMap, head.after, {}};
    } else if (head.major == kBytes || head.major == kText) {
      if (head.argument > room) {
        return text("CBOR string at byte ", at_, " says ", head.argument, " bytes, ", room, " follow");
      }
      head.after += static_cast<std::size_t>(head.argument);
    }
    at_ = head.after;
    if (is_container && top().items_left > 0) return {};
    if (is_container) --depth_;
    return close();
  }

  // Counts the item that ends at at_ in its container, and closes the containers that are full with it.
  std::string close() {
    for (; depth_ > 0; --depth_) {
      Open& container = top();
      --container.items_left;
      if (container.is_map && container.items_left % 2 == 1) {  // a key has ended
        const Bytes key = data_.subspan(container.key_start, at_ - container.key_start);
        if (!std::lexicographical_compare(container.last_key.begin(), container.last_key.end(), key.begin(),
                                          key.end())) {
          return text("CBOR map keys are not ascending at byte ", container.key_start);
        }
        container.last_key = key;
      } else if (container.is_map) {
        container.key_start = at_;
      }
      if (container.items_left > 0) break;
    }
    return {};
  }

  std::string read_head(Head& head) const {
    if (at_ >= data_.size()) return text("CBOR is cut off at byte ", at_);
    head.major = data_[at_] >> 5U;
    const unsigned low = data_[at_] & 31U;
    if (head.major == kTag) return text("CBOR tag at byte ", at_, " is not allowed");
    head.argument = low;
    head.after = at_ + 1;
    if (low < 24) return {};
    if (low > 27) return text("CBOR head at byte ", at_, " has no definite length");
    const std::size_t width = std::size_t{1} << (low - 24U);
    if (width > data_.size() - head.after) return text("CBOR is cut off at byte ", data_.size());
    head.argument = 0;
    for (std::size_t i = 0; i < width; ++i) head.argument = head.argument << 8U | data_[head.after + i];
    head.after += width;
    if (head.argument < least_of(head.major, width)) return text("CBOR head at byte ", at_, " is longer than needed");
    return {};
  }

  // A smaller argument has a shorter head; behind the head of a wider simple value are the bits of a float.
  static std::uint64_t least_of(unsigned major, std::size_t width) {
    if (major == kSimple) return width == 1 ? 32 : 0;
    return width == 1 ? 24 : std::uint64_t{1} << (4U * static_cast<unsigned>(width));
  }

  Bytes data_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::array<Open, kCborDepthMax> open_;
};

}  // namespace

std::string cbor_fault(std::span<const std::uint8_t> data) { return Walk(data).fault(); }

}  // namespace edgeml
