#include "common/raft/messages.h"

#include <type_traits>

#include "common/base/coding.h"

namespace coppice::raft {
namespace {

// A message is its number in the variant (u8) and its fields in the order of their declaration,
// integers as u64 and flags as u8; Append ends with a u32 count and that many records.

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void operator()(std::uint64_t value) { PutLe(out_, value); }
  void operator()(Term value) { PutLe(out_, value.value()); }
  void operator()(Index value) { PutLe(out_, value.value()); }
  void operator()(bool value) { out_.push_back(value ? 1 : 0); }
  void operator()(const std::vector<EntryPtr>& entries) {
    PutLe(out_, static_cast<std::uint32_t>(entries.size()));
    std::size_t bytes = out_.size();
    for (const EntryPtr& entry : entries) bytes += entry->record().size();
    out_.reserve(bytes);
    for (const EntryPtr& entry : entries) out_.append(entry->record());
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return ok_ && bytes_.empty(); }
  void operator()(std::uint64_t& value) { Fixed(value); }
  void operator()(Term& value) { value = Term(Fixed64()); }
  void operator()(Index& value) { value = Index(Fixed64()); }
  void operator()(bool& value) {
    std::uint8_t byte = 0;
    Fixed(byte);
    ok_ = ok_ && byte <= 1;
    value = byte == 1;
  }
  void operator()(std::vector<EntryPtr>& entries) {
    std::uint32_t count = 0;
    Fixed(count);
    ok_ = ok_ && count <= bytes_.size() / kRecordHeaderSize;
    if (ok_) entries.reserve(count);
    for (std::uint32_t i = 0; ok_ && i < count; ++i) {
      EntryPtr entry;
      ok_ = Entry::Read(bytes_, entry) == RecordError::kOk;
      if (ok_) entries.push_back(std::move(entry));
    }
  }

 private:
  template <typename Int>
  void Fixed(Int& value) {
    ok_ = ok_ && bytes_.size() >= sizeof(Int);
    if (!ok_) return;
    value = GetLe<Int>(bytes_.data());
    bytes_.remove_prefix(sizeof(Int));
  }
  std::uint64_t Fixed64() {
    std::uint64_t value = 0;
    Fixed(value);
    return value;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

// Calls `codec` with each field of a message; one list serves both directions.
template <typename Codec, typename M>
void Fields(Codec& codec, M& m) {
  using T = std::remove_const_t<M>;
  codec(m.term);
  if constexpr (std::is_same_v<T, PreVoteRequest> || std::is_same_v<T, VoteRequest>) {
    codec(m.last_index), codec(m.last_term);
  }
  if constexpr (std::is_same_v<T, VoteRequest>) codec(m.transfer);
  if constexpr (std::is_same_v<T, PreVoteReply> || std::is_same_v<T, VoteReply>) codec(m.granted);
  if constexpr (std::is_same_v<T, Append>) {
    codec(m.prev_index), codec(m.prev_term), codec(m.commit), codec(m.round), codec(m.entries);
  }
  if constexpr (std::is_same_v<T, AppendReply>) {
    codec(m.ok), codec(m.match), codec(m.hint_index), codec(m.hint_term), codec(m.prev_index),
        codec(m.round);
  }
  if constexpr (std::is_same_v<T, InstallSnapshot>) codec(m.index), codec(m.index_term);
  if constexpr (std::is_same_v<T, SnapshotReply>) codec(m.index), codec(m.ok);
}

// What the receiver relies on without looking again.
bool WellFormed(const Append& m) {
  Index index = m.prev_index;
  Term term = m.prev_term;
  for (const EntryPtr& entry : m.entries) {
    if (entry->index() != ++index || entry->term() < term || entry->term() > m.term) return false;
    if (entry->kind() >= RecordKind::kHardState) return false;
    term = entry->term();
  }
  return true;
}

template <std::size_t kType = 0>
bool DecodeType(std::size_t type, std::string_view bytes, Message& out) {
  if constexpr (kType == std::variant_size_v<Message>) {
    return false;
  } else {
    if (type != kType) return DecodeType<kType + 1>(type, bytes, out);
    Reader reader(bytes);
    auto& message = out.emplace<kType>();
    Fields(reader, message);
    if (!reader.done()) return false;
    if constexpr (std::is_same_v<std::variant_alternative_t<kType, Message>, Append>) {
      return WellFormed(message);
    }
    return true;
  }
}

}  // namespace

Term TermOf(const Message& message) {
  return std::visit([](const auto& m) { return m.term; }, message);
}

std::string EncodeMessage(const Message& message) {
  std::string out(1, static_cast<char>(message.index()));
  Writer writer(out);
  std::visit([&writer](const auto& m) { Fields(writer, m); }, message);
  return out;
}

bool DecodeMessage(std::string_view bytes, Message& out) {
  if (bytes.empty()) return false;
  return DecodeType(static_cast<unsigned char>(bytes.front()), bytes.substr(1), out);
}

}  // namespace coppice::raft
