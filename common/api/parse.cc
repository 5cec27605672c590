#include "common/api/parse.h"

#include <algorithm>

#include "common/api/errors.h"
#include "common/api/validate.h"
#include "common/api/wire_scan.h"

namespace coppice::api {
namespace {

constexpr std::uint32_t Number(std::uint32_t field) {
  return WireTag(field, WireType::kVarint);
}
constexpr std::uint32_t Bytes(std::uint32_t field) {
  return WireTag(field, WireType::kBytes);
}

std::int64_t Signed(std::uint64_t number) {
  return static_cast<std::int64_t>(number);
}

}  // namespace

Status ParseRange(std::string_view bytes, ParsedRange& out) {
  mvcc::RangeOp& op = out.op;
  std::string_view key;
  std::string_view range_end;
  std::int32_t sort_order = 0;
  std::int32_t sort_target = 0;
  op = {};
  out.serializable = false;
  FieldScanner fields(bytes);
  while (fields.Next()) {
    switch (fields.tag()) {
      case Bytes(1):
        key = fields.bytes();
        break;
      case Bytes(2):
        range_end = fields.bytes();
        break;
      case Number(3):  // etcd takes what is not positive as none, here and in revision
        op.limit = std::max<std::int64_t>(0, Signed(fields.number()));
        break;
      case Number(4):
        op.revision = std::max<Revision>(0, Signed(fields.number()));
        break;
      case Number(5):
        sort_order = static_cast<std::int32_t>(fields.number());
        break;
      case Number(6):
        sort_target = static_cast<std::int32_t>(fields.number());
        break;
      case Number(7):
        out.serializable = fields.number() != 0;
        break;
      case Number(8):
        op.keys_only = fields.number() != 0;
        break;
      case Number(9):
        op.count_only = fields.number() != 0;
        break;
      case Number(10):
        op.min_mod_revision = Signed(fields.number());
        break;
      case Number(11):
        op.max_mod_revision = Signed(fields.number());
        break;
      case Number(12):
        op.min_create_revision = Signed(fields.number());
        break;
      case Number(13):
        op.max_create_revision = Signed(fields.number());
        break;
      default:
        break;
    }
  }
  if (fields.failed()) return Malformed("etcdserverpb.RangeRequest");
  COPPICE_RETURN_IF_ERROR(CheckRange(key, sort_order, sort_target));
  op.sort_order = static_cast<mvcc::SortOrder>(sort_order);
  op.sort_target = static_cast<mvcc::SortTarget>(sort_target);
  op.range = mvcc::KeyRange::FromWire(key, range_end);
  return OkStatus();
}

Status ParsePut(std::string_view bytes, mvcc::PutOp& out) {
  std::string_view key;
  std::string_view value;
  out = {};
  FieldScanner fields(bytes);
  while (fields.Next()) {
    switch (fields.tag()) {
      case Bytes(1):
        key = fields.bytes();
        break;
      case Bytes(2):
        value = fields.bytes();
        break;
      case Number(3):
        out.lease = Signed(fields.number());
        break;
      case Number(4):
        out.prev_kv = fields.number() != 0;
        break;
      case Number(5):
        out.ignore_value = fields.number() != 0;
        break;
      case Number(6):
        out.ignore_lease = fields.number() != 0;
        break;
      default:
        break;
    }
  }
  if (fields.failed()) return Malformed("etcdserverpb.PutRequest");
  COPPICE_RETURN_IF_ERROR(
      CheckPut(key, out.ignore_value && !value.empty(), out.ignore_lease && out.lease != 0));
  out.key = key;
  out.value = value;
  return OkStatus();
}

Status ParseDelete(std::string_view bytes, mvcc::DeleteOp& out) {
  std::string_view key;
  std::string_view range_end;
  out = {};
  FieldScanner fields(bytes);
  while (fields.Next()) {
    switch (fields.tag()) {
      case Bytes(1):
        key = fields.bytes();
        break;
      case Bytes(2):
        range_end = fields.bytes();
        break;
      case Number(3):
        out.prev_kv = fields.number() != 0;
        break;
      default:
        break;
    }
  }
  if (fields.failed()) return Malformed("etcdserverpb.DeleteRangeRequest");
  COPPICE_RETURN_IF_ERROR(CheckDelete(key));
  out.range = mvcc::KeyRange::FromWire(key, range_end);
  return OkStatus();
}

Status ParseCompact(std::string_view bytes, ParsedCompact& out) {
  out = {};
  FieldScanner fields(bytes);
  while (fields.Next()) {
    if (fields.tag() == Number(1)) out.op.revision = Signed(fields.number());
    if (fields.tag() == Number(2)) out.physical = fields.number() != 0;
  }
  return fields.failed() ? Malformed("etcdserverpb.CompactionRequest") : OkStatus();
}

bool ScanRangeRouting(std::string_view bytes, RangeRouting& out) {
  out = {};
  FieldScanner fields(bytes);
  while (fields.Next()) {
    if (fields.tag() == Number(4)) out.revision = std::max<Revision>(0, Signed(fields.number()));
    if (fields.tag() == Number(7)) out.serializable = fields.number() != 0;
  }
  return !fields.failed();
}

bool ScanMemberListLinearizable(std::string_view bytes) {
  bool linearizable = false;
  FieldScanner fields(bytes);
  while (fields.Next()) {
    if (fields.tag() == Number(1)) linearizable = fields.number() != 0;
  }
  return linearizable;
}

namespace {

constexpr int kTxnDepthMax = 50;  // libprotobuf's 100 messages; each level is an op and a txn

bool ScanTxn(std::string_view bytes, int depth, TxnRouting& out);

// A RequestOp. Where a client sets more than one of its fields the last counts, and equal ones
// merge: looking at all of them errs on the side of a write.
bool ScanOp(std::string_view bytes, int depth, TxnRouting& out) {
  FieldScanner fields(bytes);
  while (fields.Next()) {
    if (fields.tag() == Bytes(1)) {
      RangeRouting range;
      if (!ScanRangeRouting(fields.bytes(), range)) return false;
      out.serializable = out.serializable && range.serializable;
    } else if (fields.tag() == Bytes(4)) {
      out.serializable = false;
      if (!ScanTxn(fields.bytes(), depth + 1, out)) return false;
    } else if (fields.tag() == Bytes(2) || fields.tag() == Bytes(3)) {
      out = {.read_only = false, .serializable = false};
    }
  }
  return !fields.failed();
}

bool ScanTxn(std::string_view bytes, int depth, TxnRouting& out) {
  if (depth > kTxnDepthMax) return false;
  FieldScanner fields(bytes);
  while (fields.Next()) {
    const bool is_op = fields.tag() == Bytes(2) || fields.tag() == Bytes(3);
    if (is_op && !ScanOp(fields.bytes(), depth, out)) return false;
    if (!out.read_only) return true;  // a write goes one way only
  }
  return !fields.failed();
}

}  // namespace

bool ScanTxnRouting(std::string_view bytes, TxnRouting& out) {
  out = {};
  return ScanTxn(bytes, 0, out);
}

}  // namespace coppice::api
