#pragma once

#include <string_view>

#include "common/api/limits.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/mvcc/ops.h"

namespace coppice::api {

// Clients' protobuf bytes to what the store understands, checked as etcd checks them. Range, Put,
// DeleteRange and Compact are scanned by hand: nothing is allocated but the keys' and the value's
// own strings. Bytes that are no such message are Malformed (Internal); a message that etcd refuses
// has etcd's error. Never crashes, whatever the bytes.
// Thread: any.

// `serializable` is etcd's flag; the edge has made it part of the request's Consistency.
struct ParsedRange {
  mvcc::RangeOp op;
  bool serializable = false;
};
Status ParseRange(std::string_view bytes, ParsedRange& out);
Status ParsePut(std::string_view bytes, mvcc::PutOp& out);
Status ParseDelete(std::string_view bytes, mvcc::DeleteOp& out);
// A compare with a target or a result that etcd does not name is InvalidArgument.
Status ParseTxn(std::string_view bytes, const Limits& limits, mvcc::TxnOp& out);

struct ParsedCompact {
  mvcc::CompactOp op;
  bool physical = false;
};
Status ParseCompact(std::string_view bytes, ParsedCompact& out);

// Any other message, by libprotobuf.
template <typename Message>
Status ParseMessage(std::string_view bytes, Message& out);

// What choosing a server needs of a RangeRequest, from its top-level tags only. False if malformed.
struct RangeRouting {
  Revision revision = 0;  // 0 = latest
  bool serializable = false;
};
bool ScanRangeRouting(std::string_view bytes, RangeRouting& out);

// The same of a TxnRequest: whether it can take the read path, and whether etcd calls it
// serializable (every operation is a Range with the flag). False if malformed where it looked.
struct TxnRouting {
  bool read_only = true;
  bool serializable = true;
};
bool ScanTxnRouting(std::string_view bytes, TxnRouting& out);

// MemberListRequest.linearizable.
bool ScanMemberListLinearizable(std::string_view bytes);

// --- Implementation.

Status Malformed(std::string_view message_name);

template <typename Message>
Status ParseMessage(std::string_view bytes, Message& out) {
  if (out.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return OkStatus();
  return Malformed(out.GetTypeName());
}

}  // namespace coppice::api
