// SPDX-License-Identifier: Apache-2.0
#include "model/text_check.h"

#include <cstddef>
#include <cstdint>

namespace edgeml {
namespace {

constexpr int kJsonDepthMax = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  bool object_and_end() { return object(0) && at_ == text_.size(); }

 private:
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ > begin;
  }

  bool string() {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !escape()) return false;
    }
    return false;
  }

  bool escape() {
    if (at_ >= text_.size()) return false;
    const char c = text_[at_++];
    if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ >= text_.size() || !is_hex(text_[at_])) return false;
    }
    return true;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }

  bool value(int depth) {
    if (at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return take("true");
      case 'f':
        return take("false");
      case 'n':
        return take("null");
      default:
        return number();
    }
  }

  bool array(int depth) {
    if (depth >= kJsonDepthMax || !take('[')) return false;
    if (take(']')) return true;
    do {
      if (!value(depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  bool object(int depth) {
    if (depth >= kJsonDepthMax || !take('{')) return false;
    if (take('}')) return true;
    std::string_view previous;
    bool first = true;
    do {
      const std::size_t begin = at_;
      if (!string()) return false;
      const std::string_view key = text_.substr(begin + 1, at_ - begin - 2);
      if (!first && key <= previous) return false;
      previous = key;
      first = false;
      if (!take(':') || !value(depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = lead >= 0xc2 && lead <= 0xdf   ? 1U
                             : lead >> 4 == 0xe             ? 2U
                             : lead >= 0xf0 && lead <= 0xf4 ? 3U
                                                            : 0U;
    if (more == 0 || i + more >= text.size()) return false;
    std::uint32_t point = lead & (0x3fU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto c = static_cast<unsigned char>(text[i + k]);
      if (c >> 6 != 2) return false;
      point = point << 6 | (c & 0x3fU);
    }
    const bool shortest = more == 1 || (more == 2 && point >= 0x800) || (more == 3 && point >= 0x10000);
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    if (!shortest || surrogate || point > 0x10ffff) return false;
    i += more + 1;
  }
  return true;
}

bool is_canonical_json_object(std::string_view text) noexcept {
  return is_utf8(text) && JsonScanner(text).object_and_end();
}

}  // namespace edgeml
