#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "common/base/ids.h"

namespace coppice::mvcc {

// One version of a key: immutable, made by the apply thread, read by any loop through a view or a
// watch batch. Its bytes are an encoded mvccpb.KeyValue with the value last, so that a get is one
// memcpy, keys_only a prefix of it, and a watch event the same bytes. A tombstone has key and
// mod_revision only (create_revision and version 0), as etcd sends it in a DELETE event.
// Ownership: counted; the index, the watch ring and whoever holds a RecordPtr share it.
class Record {
 public:
  std::string_view key() const;
  std::string_view encoded() const;                // all of the KeyValue
  std::string_view encoded_without_value() const;  // for keys_only
  std::string_view value() const;
  Revision create_revision() const { return create_; }
  Revision mod_revision() const { return mod_; }
  std::int64_t version() const { return version_; }
  std::int64_t lease() const { return lease_; }
  bool tombstone() const { return version_ == 0; }

 private:
  Revision create_ = 0;
  Revision mod_ = 0;
  std::int64_t version_ = 0;
  std::int64_t lease_ = 0;
};

}  // namespace coppice::mvcc
