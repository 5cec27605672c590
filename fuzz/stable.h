#pragma once

#include <string>
#include <string_view>

#include "common/base/check.h"

namespace coppice::fuzz {

// What a decoder accepts can be sent on: written out, it is read as the same.
template <typename Message>
void CheckStable(std::string_view bytes, bool (*decode)(std::string_view, Message&),
                 std::string (*encode)(const Message&)) {
  Message message;
  if (!decode(bytes, message)) return;
  const std::string once = encode(message);
  Message again;
  COPPICE_CHECK(decode(once, again), "what was accepted can be sent on");
  COPPICE_CHECK(encode(again) == once);
}

}  // namespace coppice::fuzz
