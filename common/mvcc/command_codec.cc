#include <utility>

#include "common/base/coding.h"
#include "common/mvcc/ops.h"

// The payload of a kCommand entry, version 1 (docs/formats.md). Fields stand one after the other
// without tags: a decoder that does not know a bit or a tag refuses the whole command, so that a
// replica never applies half of what another applied. Integers are varints; strings have a varint
// length in front.
namespace coppice::mvcc {
namespace {

enum class CommandTag : std::uint8_t { kPut = 1, kDelete = 2, kTxn = 3, kCompact = 4, kAlarm = 5 };
enum class OpTag : std::uint8_t { kRange = 0, kPut = 1, kDelete = 2, kTxn = 3 };
enum class RangeTag : std::uint8_t { kSingleKey = 0, kBounded = 1, kUnbounded = 2 };

constexpr std::uint64_t kPrevKv = 1;
constexpr std::uint64_t kIgnoreValue = 2;
constexpr std::uint64_t kIgnoreLease = 4;
constexpr std::uint64_t kKeysOnly = 1;
constexpr std::uint64_t kCountOnly = 2;
constexpr std::uint64_t kFiltered = 4;
constexpr int kTxnDepthMax = 64;

// --- Writing.

void Byte(std::string& out, auto value) {
  out.push_back(static_cast<char>(value));
}
void Number(std::string& out, std::int64_t value) {
  PutVarint(out, static_cast<std::uint64_t>(value));
}
void Bytes(std::string& out, std::string_view value) {
  PutVarint(out, value.size());
  out.append(value);
}

void Write(std::string& out, const KeyRange& range) {
  if (range.unbounded) {
    Byte(out, RangeTag::kUnbounded);
    Bytes(out, range.begin);
  } else if (range.SingleKey()) {
    Byte(out, RangeTag::kSingleKey);
    Bytes(out, range.begin);
  } else {
    Byte(out, RangeTag::kBounded);
    Bytes(out, range.begin);
    Bytes(out, range.end);
  }
}

void Write(std::string& out, const RangeOp& op) {
  PutVarint(out, (op.keys_only ? kKeysOnly : 0) | (op.count_only ? kCountOnly : 0) |
                     (op.filtered() ? kFiltered : 0));
  Write(out, op.range);
  Number(out, op.limit);
  Number(out, op.revision);
  Byte(out, op.sort_order);
  Byte(out, op.sort_target);
  if (!op.filtered()) return;
  Number(out, op.min_mod_revision);
  Number(out, op.max_mod_revision);
  Number(out, op.min_create_revision);
  Number(out, op.max_create_revision);
}

void Write(std::string& out, const PutOp& op) {
  PutVarint(out, (op.prev_kv ? kPrevKv : 0) | (op.ignore_value ? kIgnoreValue : 0) |
                     (op.ignore_lease ? kIgnoreLease : 0));
  Bytes(out, op.key);
  Bytes(out, op.value);
  Number(out, op.lease);
}

void Write(std::string& out, const DeleteOp& op) {
  PutVarint(out, op.prev_kv ? kPrevKv : 0);
  Write(out, op.range);
}

void Write(std::string& out, const Compare& compare) {
  Byte(out, compare.target);
  Byte(out, compare.result);
  Write(out, compare.range);
  if (compare.target == CompareTarget::kValue) {
    Bytes(out, compare.value);
  } else {
    Number(out, compare.number);
  }
}

void Write(std::string& out, const TxnOp& txn);

void WriteBranch(std::string& out, const std::vector<Op>& ops) {
  PutVarint(out, ops.size());
  for (const Op& op : ops) {
    Byte(out, op.index());
    if (const auto* nested = std::get_if<std::unique_ptr<TxnOp>>(&op)) {
      Write(out, **nested);
    } else if (const auto* range = std::get_if<RangeOp>(&op)) {
      Write(out, *range);
    } else if (const auto* put = std::get_if<PutOp>(&op)) {
      Write(out, *put);
    } else {
      Write(out, std::get<DeleteOp>(op));
    }
  }
}

void Write(std::string& out, const TxnOp& txn) {
  PutVarint(out, txn.compares.size());
  for (const Compare& compare : txn.compares) Write(out, compare);
  WriteBranch(out, txn.success);
  WriteBranch(out, txn.failure);
}

// --- Reading. Every function returns false at malformed input.

template <typename Enum>
bool ReadEnum(WireReader& in, Enum last, Enum& value) {
  std::uint8_t byte = 0;
  if (!in.Fixed(byte) || byte > static_cast<std::uint8_t>(last)) return false;
  value = static_cast<Enum>(byte);
  return true;
}
bool ReadFlags(WireReader& in, std::uint64_t known, std::uint64_t& flags) {
  return in.Varint(flags) && (flags & ~known) == 0;
}
bool ReadNumber(WireReader& in, std::int64_t& value) {
  std::uint64_t bits = 0;
  if (!in.Varint(bits)) return false;
  value = static_cast<std::int64_t>(bits);
  return true;
}
bool ReadBytes(WireReader& in, std::string& value) {
  std::string_view view;
  if (!in.Bytes(view)) return false;
  value = view;
  return true;
}

bool Read(WireReader& in, KeyRange& range) {
  RangeTag tag{};
  if (!ReadEnum(in, RangeTag::kUnbounded, tag) || !ReadBytes(in, range.begin)) return false;
  range.unbounded = tag == RangeTag::kUnbounded;
  if (tag == RangeTag::kSingleKey) range.end = range.begin + '\0';
  return tag != RangeTag::kBounded || ReadBytes(in, range.end);
}

bool Read(WireReader& in, RangeOp& op) {
  std::uint64_t flags = 0;
  if (!ReadFlags(in, kKeysOnly | kCountOnly | kFiltered, flags) || !Read(in, op.range) ||
      !ReadNumber(in, op.limit) || !ReadNumber(in, op.revision) ||
      !ReadEnum(in, SortOrder::kDescend, op.sort_order) ||
      !ReadEnum(in, SortTarget::kValue, op.sort_target)) {
    return false;
  }
  op.keys_only = (flags & kKeysOnly) != 0;
  op.count_only = (flags & kCountOnly) != 0;
  if ((flags & kFiltered) == 0) return true;
  return ReadNumber(in, op.min_mod_revision) && ReadNumber(in, op.max_mod_revision) &&
         ReadNumber(in, op.min_create_revision) && ReadNumber(in, op.max_create_revision);
}

bool Read(WireReader& in, PutOp& op) {
  std::uint64_t flags = 0;
  if (!ReadFlags(in, kPrevKv | kIgnoreValue | kIgnoreLease, flags) || !ReadBytes(in, op.key) ||
      !ReadBytes(in, op.value) || !ReadNumber(in, op.lease)) {
    return false;
  }
  op.prev_kv = (flags & kPrevKv) != 0;
  op.ignore_value = (flags & kIgnoreValue) != 0;
  op.ignore_lease = (flags & kIgnoreLease) != 0;
  return true;
}

bool Read(WireReader& in, DeleteOp& op) {
  std::uint64_t flags = 0;
  if (!ReadFlags(in, kPrevKv, flags) || !Read(in, op.range)) return false;
  op.prev_kv = flags != 0;
  return true;
}

bool Read(WireReader& in, Compare& compare) {
  if (!ReadEnum(in, CompareTarget::kLease, compare.target) ||
      !ReadEnum(in, CompareResult::kNotEqual, compare.result) || !Read(in, compare.range)) {
    return false;
  }
  return compare.target == CompareTarget::kValue ? ReadBytes(in, compare.value)
                                                 : ReadNumber(in, compare.number);
}

bool ReadTxn(WireReader& in, int depth, TxnOp& txn);

bool ReadOp(WireReader& in, int depth, Op& op) {
  OpTag tag{};
  if (!ReadEnum(in, OpTag::kTxn, tag)) return false;
  switch (tag) {
    case OpTag::kRange:
      return Read(in, op.emplace<RangeOp>());
    case OpTag::kPut:
      return Read(in, op.emplace<PutOp>());
    case OpTag::kDelete:
      return Read(in, op.emplace<DeleteOp>());
    case OpTag::kTxn:
      return ReadTxn(in, depth + 1, *op.emplace<std::unique_ptr<TxnOp>>(new TxnOp));
  }
  return false;
}

// A count that cannot be right for the bytes left is refused before memory is taken for it.
bool ReadCount(WireReader& in, std::uint64_t& count) {
  return in.Varint(count) && count <= in.left();
}

bool ReadBranch(WireReader& in, int depth, std::vector<Op>& ops) {
  std::uint64_t count = 0;
  if (!ReadCount(in, count)) return false;
  for (; count > 0; --count) {
    if (!ReadOp(in, depth, ops.emplace_back())) return false;
  }
  return true;
}

bool ReadTxn(WireReader& in, int depth, TxnOp& txn) {
  std::uint64_t count = 0;
  if (depth > kTxnDepthMax || !ReadCount(in, count)) return false;
  for (; count > 0; --count) {
    if (!Read(in, txn.compares.emplace_back())) return false;
  }
  return ReadBranch(in, depth, txn.success) && ReadBranch(in, depth, txn.failure);
}

bool Read(WireReader& in, AlarmOp& op) {
  std::uint8_t activate = 0;
  std::uint64_t member = 0;
  if (!in.Fixed(activate) || activate > 1 || !in.Varint(member) ||
      !ReadEnum(in, AlarmType::kCorrupt, op.type)) {
    return false;
  }
  op.activate = activate == 1;
  op.member = NodeId(member);
  return true;
}

bool ReadCommand(WireReader& in, CommandTag tag, Command& out) {
  switch (tag) {
    case CommandTag::kPut:
      return Read(in, out.emplace<PutOp>());
    case CommandTag::kDelete:
      return Read(in, out.emplace<DeleteOp>());
    case CommandTag::kTxn:
      return ReadTxn(in, 0, out.emplace<TxnOp>());
    case CommandTag::kCompact:
      return ReadNumber(in, out.emplace<CompactOp>().revision);
    case CommandTag::kAlarm:
      return Read(in, out.emplace<AlarmOp>());
  }
  return false;
}

}  // namespace

std::string EncodeCommand(const Command& command) {
  std::string out;
  if (const auto* put = std::get_if<PutOp>(&command)) {
    out.reserve(put->key.size() + put->value.size() + 24);
    Byte(out, CommandTag::kPut);
    Write(out, *put);
  } else if (const auto* erase = std::get_if<DeleteOp>(&command)) {
    Byte(out, CommandTag::kDelete);
    Write(out, *erase);
  } else if (const auto* txn = std::get_if<TxnOp>(&command)) {
    Byte(out, CommandTag::kTxn);
    Write(out, *txn);
  } else if (const auto* compact = std::get_if<CompactOp>(&command)) {
    Byte(out, CommandTag::kCompact);
    Number(out, compact->revision);
  } else {
    const auto& alarm = std::get<AlarmOp>(command);
    Byte(out, CommandTag::kAlarm);
    Byte(out, alarm.activate ? 1 : 0);
    PutVarint(out, alarm.member.value());
    Byte(out, alarm.type);
  }
  return out;
}

bool DecodeCommand(std::string_view bytes, Command& out) {
  WireReader in(bytes);
  std::uint8_t tag = 0;
  return in.Fixed(tag) && ReadCommand(in, static_cast<CommandTag>(tag), out) && in.done();
}

}  // namespace coppice::mvcc
