#include "common/api/encode.h"

#include <memory>
#include <variant>

#include "common/base/coding.h"

namespace coppice::api {
namespace {

char* WriteNumber(char* p, std::uint32_t field, std::uint64_t value) {
  if (value == 0) return p;
  *p++ = static_cast<char>(WireTag(field, WireType::kVarint));  // field numbers here are below 16
  return WriteVarint(p, value);
}

// Field 1 of every response, even if it is empty: etcd always sets it.
char* WriteHeader(char* p, const ResponseHeader& header) {
  *p++ = static_cast<char>(WireTag(1, WireType::kBytes));
  char* const length = p++;
  p = WriteNumber(p, 1, header.cluster_id);
  p = WriteNumber(p, 2, header.member_id.value());
  p = WriteNumber(p, 3, static_cast<std::uint64_t>(header.revision));
  p = WriteNumber(p, 4, header.raft_term.value());
  *length = static_cast<char>(p - length - 1);
  return p;
}

std::size_t NumberSize(std::uint64_t value) {
  return value == 0 ? 0 : 1 + static_cast<std::size_t>(VarintSize(value));
}
std::size_t BytesSize(std::size_t size) {
  return 1 + static_cast<std::size_t>(VarintSize(size)) + size;
}
std::size_t HeaderSize(const ResponseHeader& header) {
  return 2 + NumberSize(header.cluster_id) + NumberSize(header.member_id.value()) +
         NumberSize(static_cast<std::uint64_t>(header.revision)) +
         NumberSize(header.raft_term.value());
}

void PutHeader(const ResponseHeader& header, std::string& out) {
  char buffer[kHeaderSizeMax];
  out.append(buffer, static_cast<std::size_t>(WriteHeader(buffer, header) - buffer));
}
void PutLength(std::uint32_t field, std::size_t size, std::string& out) {
  PutVarint(out, WireTag(field, WireType::kBytes));
  PutVarint(out, size);
}

std::size_t SizeOf(const ResponseHeader& header, const mvcc::RangeResult& result) {
  return HeaderSize(header) + result.kvs.size() + (result.more ? 2 : 0) +
         NumberSize(static_cast<std::uint64_t>(result.count));
}
std::size_t SizeOf(const ResponseHeader& header, const mvcc::PutResult& result) {
  return HeaderSize(header) + (result.prev_kv.empty() ? 0 : BytesSize(result.prev_kv.size()));
}
std::size_t SizeOf(const ResponseHeader& header, const mvcc::DeleteResult& result) {
  return HeaderSize(header) + NumberSize(static_cast<std::uint64_t>(result.deleted)) +
         result.prev_kvs.size();
}

void EncodeRange(const ResponseHeader& header, const mvcc::RangeResult& result, std::string& out) {
  const RangeResponse response(header, result.kvs, result.more, result.count);
  for (std::string_view piece : response.pieces()) out.append(piece);
}

// Lengths precede what they measure, so a transaction's are worked out first, innermost included,
// in the order in which they will be written.
class TxnEncoder {
 public:
  explicit TxnEncoder(std::string& out) : out_(out) {}

  void Encode(const ResponseHeader& header, const mvcc::TxnResult& result) {
    out_.reserve(out_.size() + Measure(header, result));
    Write(header, result);
  }

 private:
  static ResponseHeader OpHeader(Revision revision) { return {.revision = revision}; }

  std::size_t Measure(const ResponseHeader& header, const mvcc::TxnResult& result) {
    std::size_t size = HeaderSize(header) + (result.succeeded ? 2 : 0);
    for (const mvcc::OpResult& response : result.responses) {
      const std::size_t slot = sizes_.size();
      sizes_.push_back(0);
      const std::size_t inner = MeasureOp(response);
      sizes_[slot] = inner;
      size += BytesSize(BytesSize(inner));
    }
    return size;
  }
  std::size_t MeasureOp(const mvcc::OpResult& response) {
    return std::visit(
        [this](const auto& result) {
          if constexpr (requires { result->succeeded; }) {
            return Measure({}, *result);
          } else {
            return SizeOf(OpHeader(result.revision), result);
          }
        },
        response);
  }

  void Write(const ResponseHeader& header, const mvcc::TxnResult& result) {
    PutHeader(header, out_);
    PutIntField(out_, 2, result.succeeded ? 1 : 0);
    for (const mvcc::OpResult& response : result.responses) {
      const std::size_t inner = sizes_[next_++];
      PutLength(3, BytesSize(inner), out_);
      // The oneof's field numbers are the variant's order plus one.
      PutLength(static_cast<std::uint32_t>(response.index()) + 1, inner, out_);
      WriteOp(response);
    }
  }
  void WriteOp(const mvcc::OpResult& response) {
    if (const auto* range = std::get_if<mvcc::RangeResult>(&response)) {
      EncodeRange(OpHeader(range->revision), *range, out_);
    } else if (const auto* put = std::get_if<mvcc::PutResult>(&response)) {
      EncodePut(OpHeader(put->revision), *put, out_);
    } else if (const auto* erase = std::get_if<mvcc::DeleteResult>(&response)) {
      EncodeDelete(OpHeader(erase->revision), *erase, out_);
    } else {
      Write({}, *std::get<std::unique_ptr<mvcc::TxnResult>>(response));
    }
  }

  std::string& out_;
  std::vector<std::size_t> sizes_;
  std::size_t next_ = 0;
};

}  // namespace

RangeResponse::RangeResponse(const ResponseHeader& header, std::string_view kvs, bool more,
                             std::int64_t count) {
  const char* const prefix_end = WriteHeader(prefix_, header);
  char* end = WriteNumber(suffix_, 3, more ? 1 : 0);
  end = WriteNumber(end, 4, static_cast<std::uint64_t>(count));
  pieces_ = {std::string_view(prefix_, prefix_end), kvs, std::string_view(suffix_, end)};
}

void EncodePut(const ResponseHeader& header, const mvcc::PutResult& result, std::string& out) {
  PutHeader(header, out);
  PutBytesField(out, 2, result.prev_kv);
}

void EncodeDelete(const ResponseHeader& header, const mvcc::DeleteResult& result,
                  std::string& out) {
  PutHeader(header, out);
  PutIntField(out, 2, static_cast<std::uint64_t>(result.deleted));
  out.append(result.prev_kvs);
}

void EncodeTxn(const ResponseHeader& header, const mvcc::TxnResult& result, std::string& out) {
  TxnEncoder(out).Encode(header, result);
}

void EncodeAlarm(const ResponseHeader& header, const mvcc::AlarmResult& result, std::string& out) {
  PutHeader(header, out);
  if (result.type == mvcc::AlarmType::kNone) return;
  std::string alarm;
  PutIntField(alarm, 1, result.member.value());
  PutIntField(alarm, 2, static_cast<std::uint64_t>(result.type));
  PutBytesField(out, 2, alarm);
}

void EncodeHeaderOnly(const ResponseHeader& header, std::string& out) {
  PutHeader(header, out);
}

}  // namespace coppice::api
