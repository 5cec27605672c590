#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <string_view>
#include <utility>

#include "common/base/ids.h"

namespace coppice::mvcc {

// Names one version of one key: its revision, and its place within that revision's transaction.
// It is also the key of the version's row in the backend.
struct RowId {
  Revision main = 0;
  std::uint32_t sub = 0;
  auto operator<=>(const RowId&) const = default;
};

class RecordPtr;

// One version of a key: immutable, made by the apply thread, read by any loop through a view or a
// watch batch. Its bytes are an encoded mvccpb.KeyValue with the value last, so that a get is one
// memcpy, keys_only a prefix of it, and a watch event the same bytes. A tombstone has key and
// mod_revision only (create_revision and version 0), as etcd sends it in a DELETE event.
// Ownership: counted; the index, the watch ring and whoever holds a RecordPtr share it, and any
// thread may drop the last reference. One allocation: the bytes follow the object.
class Record {
 public:
  struct Fields {
    std::string_view key{};
    std::string_view value{};
    Revision create = 0;
    RowId id{};
    std::int64_t version = 0;
    std::int64_t lease = 0;
  };
  static RecordPtr Make(const Fields& fields);
  static RecordPtr MakeTombstone(std::string_view key, RowId id);
  // Of an encoded KeyValue as encoded() gives it; null if `encoded` is not one.
  static RecordPtr Parse(std::string_view encoded, RowId id, bool tombstone);

  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  std::string_view key() const { return {bytes() + key_offset_, key_size_}; }
  std::string_view encoded() const { return {bytes(), size_}; }  // all of the KeyValue
  std::string_view encoded_without_value() const { return {bytes(), head_size_}; }  // keys_only
  std::string_view value() const { return {bytes() + size_ - value_size_, value_size_}; }
  RowId id() const { return {mod_, sub_}; }
  Revision create_revision() const { return create_; }
  Revision mod_revision() const { return mod_; }
  std::int64_t version() const { return version_; }
  std::int64_t lease() const { return lease_; }
  bool tombstone() const { return version_ == 0; }

  void Ref() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) Destroy();
  }

 private:
  explicit Record(const Fields& fields)
      : create_(fields.create),
        mod_(fields.id.main),
        version_(fields.version),
        lease_(fields.lease),
        sub_(fields.id.sub) {}
  static Record* Allocate(const Fields& fields, std::size_t size);
  void Locate(const Fields& fields, std::size_t head_size);
  void Destroy() const;
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  mutable std::atomic<std::uint32_t> refs_{1};
  std::uint32_t size_ = 0;
  std::uint32_t head_size_ = 0;
  std::uint32_t key_offset_ = 0;
  std::uint32_t key_size_ = 0;
  std::uint32_t value_size_ = 0;
  Revision create_ = 0;
  Revision mod_ = 0;
  std::int64_t version_ = 0;
  std::int64_t lease_ = 0;
  std::uint32_t sub_ = 0;
};

// A counted reference to a Record, or null.
class RecordPtr {
 public:
  RecordPtr() = default;
  RecordPtr(std::nullptr_t) {}  // NOLINT: null converts, as with any smart pointer
  // Takes over a reference that the caller owns, or adds one.
  static RecordPtr Adopt(const Record* record) { return RecordPtr(record); }
  static RecordPtr Share(const Record* record) {
    if (record != nullptr) record->Ref();
    return RecordPtr(record);
  }
  RecordPtr(const RecordPtr& other) : record_(other.record_) {
    if (record_ != nullptr) record_->Ref();
  }
  RecordPtr(RecordPtr&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  RecordPtr& operator=(RecordPtr other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~RecordPtr() {
    if (record_ != nullptr) record_->Unref();
  }

  const Record* get() const { return record_; }
  const Record* operator->() const { return record_; }
  const Record& operator*() const { return *record_; }
  explicit operator bool() const { return record_ != nullptr; }
  bool operator==(std::nullptr_t) const { return record_ == nullptr; }
  // Gives the reference to the caller.
  [[nodiscard]] const Record* Release() { return std::exchange(record_, nullptr); }

 private:
  explicit RecordPtr(const Record* record) : record_(record) {}
  const Record* record_ = nullptr;
};

}  // namespace coppice::mvcc
