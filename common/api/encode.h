#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/mvcc/ops.h"

namespace coppice::api {

// Responses, written by hand from the store's results in the order of etcd's fields: the bytes are
// those that libprotobuf would write. Thread: any.

struct ResponseHeader {
  std::uint64_t cluster_id = 0;
  NodeId member_id = {};
  Revision revision = 0;
  Term raft_term = {};
};

// A header takes at most this many bytes, its own tag and length included.
constexpr std::size_t kHeaderSizeMax = 2 + 4 * (1 + 10);

// A RangeResponse, or any message that begins with a header and ends with a few numbers, in pieces:
// what comes before the kvs, the kvs themselves (not copied), and what comes after. Nothing is
// allocated. Owns the first and the last piece; `kvs` must outlive it.
class RangeResponse {
 public:
  RangeResponse(const ResponseHeader& header, std::string_view kvs, bool more, std::int64_t count);
  RangeResponse(const RangeResponse&) = delete;
  RangeResponse& operator=(const RangeResponse&) = delete;

  [[nodiscard]] std::span<const std::string_view> pieces() const { return pieces_; }
  // For an answer whose kvs come in parts.
  [[nodiscard]] std::string_view prefix() const { return pieces_[0]; }
  [[nodiscard]] std::string_view suffix() const { return pieces_[2]; }

 private:
  char prefix_[kHeaderSizeMax];
  char suffix_[2 + 1 + 10];
  std::array<std::string_view, 3> pieces_;
};

// These append the whole message to `out`.
void EncodePut(const ResponseHeader& header, const mvcc::PutResult& result, std::string& out);
void EncodeDelete(const ResponseHeader& header, const mvcc::DeleteResult& result, std::string& out);
// Each response inside has its own header with only a revision, as in etcd; a nested transaction's
// is empty.
void EncodeTxn(const ResponseHeader& header, const mvcc::TxnResult& result, std::string& out);
// With the alarm that was raised or cleared, if there is one, as from etcd.
void EncodeAlarm(const ResponseHeader& header, const mvcc::AlarmResult& result, std::string& out);
// A response that is a header and nothing else: Compact, Defragment, MoveLeader, ...
void EncodeHeaderOnly(const ResponseHeader& header, std::string& out);

}  // namespace coppice::api
