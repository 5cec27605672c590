#include "common/mvcc/testing/kv.h"

#include <ostream>

#include "common/base/check.h"
#include "common/base/coding.h"

namespace coppice::mvcc::testing {

std::ostream& operator<<(std::ostream& out, const Kv& kv) {
  return out << kv.key << "=" << kv.value << " create " << kv.create << " mod " << kv.mod
             << " version " << kv.version << " lease " << kv.lease;
}

Kv ParseKv(std::string_view encoded) {
  Kv kv;
  WireReader in(encoded);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    COPPICE_CHECK(in.Tag(field, type));
    if (type == WireType::kBytes) {
      std::string_view bytes;
      COPPICE_CHECK(in.Bytes(bytes) && (field == 1 || field == 5));
      (field == 1 ? kv.key : kv.value) = bytes;
      continue;
    }
    std::uint64_t number = 0;
    COPPICE_CHECK(in.Varint(number) && (field == 6 || (field >= 2 && field <= 4)));
    std::int64_t* const fields[] = {nullptr,     nullptr, &kv.create, &kv.mod,
                                    &kv.version, nullptr, &kv.lease};
    *fields[field] = static_cast<std::int64_t>(number);
  }
  return kv;
}

std::vector<Kv> ParseKvs(std::string_view framed) {
  std::vector<Kv> kvs;
  WireReader in(framed);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    std::string_view bytes;
    COPPICE_CHECK(in.Tag(field, type) && type == WireType::kBytes && in.Bytes(bytes));
    kvs.push_back(ParseKv(bytes));
  }
  return kvs;
}

std::string EncodeKv(const Kv& kv) {
  std::string out;
  PutBytesField(out, 1, kv.key);
  PutIntField(out, 2, static_cast<std::uint64_t>(kv.create));
  PutIntField(out, 3, static_cast<std::uint64_t>(kv.mod));
  PutIntField(out, 4, static_cast<std::uint64_t>(kv.version));
  PutIntField(out, 6, static_cast<std::uint64_t>(kv.lease));
  PutBytesField(out, 5, kv.value);
  return out;
}

}  // namespace coppice::mvcc::testing
