#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"

namespace coppice::mvcc::testing {

// A KeyValue as a client would read it.
struct Kv {
  std::string key{};
  std::string value{};
  Revision create = 0;
  Revision mod = 0;
  std::int64_t version = 0;
  std::int64_t lease = 0;
  bool operator==(const Kv&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Kv& kv);
Kv ParseKv(std::string_view encoded);
std::vector<Kv> ParseKvs(std::string_view framed);  // either tag
std::string EncodeKv(const Kv& kv);

}  // namespace coppice::mvcc::testing
