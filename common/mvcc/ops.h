#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/mvcc/key_range.h"

namespace coppice::mvcc {

// What clients ask of the store, parsed once at the edge. Numbers are etcd's (rpc.proto).

enum class SortOrder : std::uint8_t { kNone = 0, kAscend = 1, kDescend = 2 };
enum class SortTarget : std::uint8_t { kKey = 0, kVersion = 1, kCreate = 2, kMod = 3, kValue = 4 };

struct RangeOp {
  KeyRange range{};
  std::int64_t limit = 0;  // 0 = none
  Revision revision = 0;   // 0 = latest
  SortOrder sort_order = SortOrder::kNone;
  SortTarget sort_target = SortTarget::kKey;
  bool keys_only = false;
  bool count_only = false;
  Revision min_mod_revision = 0;
  Revision max_mod_revision = 0;
  Revision min_create_revision = 0;
  Revision max_create_revision = 0;

  bool filtered() const {
    return min_mod_revision != 0 || max_mod_revision != 0 || min_create_revision != 0 ||
           max_create_revision != 0;
  }
};

struct PutOp {
  std::string key{};
  std::string value{};
  std::int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteOp {
  KeyRange range{};
  bool prev_kv = false;
};

enum class CompareTarget : std::uint8_t {
  kVersion = 0,
  kCreate = 1,
  kMod = 2,
  kValue = 3,
  kLease = 4
};
enum class CompareResult : std::uint8_t { kEqual = 0, kGreater = 1, kLess = 2, kNotEqual = 3 };

// Holds if it holds for every key in the range. A key that does not exist compares as all zeros,
// except that a value compare of it fails; an empty range holds (etcd applyCompares).
struct Compare {
  KeyRange range{};
  CompareTarget target = CompareTarget::kVersion;
  CompareResult result = CompareResult::kEqual;
  std::int64_t number = 0;
  std::string value{};
};

struct TxnOp;
using Op = std::variant<RangeOp, PutOp, DeleteOp, std::unique_ptr<TxnOp>>;
struct TxnOp {
  std::vector<Compare> compares;
  std::vector<Op> success;
  std::vector<Op> failure;
};
// No branch, nested ones included, can write: it takes the read path.
bool ReadOnly(const TxnOp& txn);

struct CompactOp {
  Revision revision = 0;
};

enum class AlarmType : std::uint8_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };
struct AlarmOp {  // raise or clear; replicated, makes no revision
  bool activate = false;
  NodeId member{};
  AlarmType type = AlarmType::kNone;
};

// The payload of a kCommand entry.
using Command = std::variant<PutOp, DeleteOp, TxnOp, CompactOp, AlarmOp>;
std::string EncodeCommand(const Command& command);
bool DecodeCommand(std::string_view bytes, Command& out);
// Whether the NOSPACE alarm refuses it: it puts, in any branch.
bool NeedsSpace(const Command& command);

// Why an operation was refused; common/api maps each to etcd's code and message.
enum class Error : std::uint8_t {
  kNone = 0,
  kCompacted,
  kFutureRevision,
  kNoSpace,
  kKeyNotFound,  // ignore_value or ignore_lease of a key that is not there
  kLeaseNotFound,
  kCorrupt,  // the CORRUPT alarm is up
};

// --- Results. `kvs` are encoded mvccpb.KeyValue messages, each framed as field 2 (0x12, length) as
// RangeResponse.kvs wants it; a DeleteRangeResponse uses field 3 for prev_kvs (0x1a).
// `revision` is for the header that etcd gives each response inside a transaction; a nested
// TxnResult has none.
struct RangeResult {
  Revision revision = 0;
  std::string kvs;
  std::int64_t count = 0;
  bool more = false;
};
struct PutResult {
  Revision revision = 0;
  std::string prev_kv;  // an encoded KeyValue; empty if none or not asked for
};
struct DeleteResult {
  Revision revision = 0;
  std::int64_t deleted = 0;
  std::string prev_kvs;
};
struct CompactResult {};
struct AlarmResult {  // the alarm raised, even if it was up already, or cleared; kNone: neither
  NodeId member{};
  AlarmType type = AlarmType::kNone;
};
struct TxnResult;
using OpResult = std::variant<RangeResult, PutResult, DeleteResult, std::unique_ptr<TxnResult>>;
struct TxnResult {
  bool succeeded = false;
  std::vector<OpResult> responses;
};
struct CommandResult {
  Error error = Error::kNone;
  Revision revision = 0;  // for the response's header: the store's revision after the command
  std::variant<std::monostate, PutResult, DeleteResult, TxnResult, CompactResult, AlarmResult>
      value;
};

}  // namespace coppice::mvcc
