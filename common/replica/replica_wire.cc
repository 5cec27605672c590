#include "common/replica/replica_wire.h"

#include <limits>

#include "common/base/coding.h"
#include "common/replica/wire_fields.h"

namespace coppice::replica {
namespace {

constexpr std::size_t kPathMax = 64;       // far above kRelayDepthMax: a longer one is no message
constexpr std::size_t kBundleMax = 65536;  // renewals or joins in one bundle

// Durations travel plus one, so that -1 ("none") is the default that is left out.
std::uint64_t PackAge(Micros age) {
  return age < 0 ? 0 : static_cast<std::uint64_t>(age) + 1;
}
Micros UnpackAge(std::uint64_t value) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<Micros>::max());
  return value == 0 ? -1 : static_cast<Micros>(value > kMax ? kMax : value - 1);
}

}  // namespace

std::string EncodeTailSubscribe(const TailSubscribe& m) {
  std::string out;
  PutIntField(out, 1, m.cluster_id);
  PutIntField(out, 2, m.node.value());
  PutIntField(out, 3, m.index.value());
  PutIntField(out, 4, m.term.value());
  PutIntField(out, 5, m.credit);
  PutIntField(out, 6, m.insist ? 1 : 0);
  return out;
}

bool DecodeTailSubscribe(std::string_view bytes, TailSubscribe& out) {
  out = {};
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.cluster_id = value;
    if (field == 2) out.node = NodeId(value);
    if (field == 3) out.index = Index(value);
    if (field == 4) out.term = Term(value);
    if (field == 5) out.credit = value;
    if (field == 6) out.insist = value != 0;
    return true;
  });
}

std::string EncodeTailEntries(const TailEntries& m) {
  std::string out;
  std::size_t size = sizeof(std::uint64_t);
  for (const EntryPtr& entry : m.entries) size += entry->record().size();
  out.reserve(size);
  PutLe<std::uint64_t>(out, m.commit.value());
  for (const EntryPtr& entry : m.entries) out.append(entry->record());
  return out;
}

bool DecodeTailEntries(std::string_view bytes, TailEntries& out) {
  out = {};
  if (bytes.size() < sizeof(std::uint64_t)) return false;
  out.commit = Index(GetLe<std::uint64_t>(bytes.data()));
  bytes.remove_prefix(sizeof(std::uint64_t));
  while (!bytes.empty()) {
    EntryPtr entry;
    if (Entry::Read(bytes, entry) != RecordError::kOk) return false;
    const bool first = out.entries.empty();
    if (entry->index() == Index(0) ||
        (!first && entry->index() != out.entries.back()->index() + 1)) {
      return false;
    }
    out.entries.push_back(std::move(entry));
  }
  return true;
}

std::string EncodeTailBehind(const TailBehind& m) {
  std::string out;
  PutIntField(out, 1, m.first_index.value());
  for (const std::string& address : m.voters) PutBytesField(out, 2, address);
  return out;
}

bool DecodeTailBehind(std::string_view bytes, TailBehind& out) {
  out = {};
  return ForEachField(
      bytes,
      [&](std::uint32_t field, std::uint64_t value) {
        if (field == 1) out.first_index = Index(value);
        return true;
      },
      [&](std::uint32_t field, std::string_view value) {
        if (field == 2) out.voters.emplace_back(value);
        return out.voters.size() <= kPathMax && value.size() <= kRegistrationUrlBytesMax;
      });
}

std::string EncodeTailRefused(const TailRefused& m) {
  std::string out;
  PutIntField(out, 1, static_cast<std::uint64_t>(m.reason));
  for (const std::string& address : m.instead) PutBytesField(out, 2, address);
  return out;
}

bool DecodeTailRefused(std::string_view bytes, TailRefused& out) {
  out = {};
  std::uint64_t reason = 0;
  const bool ok = ForEachField(
      bytes,
      [&](std::uint32_t field, std::uint64_t value) {
        if (field == 1) reason = value;
        return true;
      },
      [&](std::uint32_t field, std::string_view value) {
        if (field == 2) out.instead.emplace_back(value);
        return out.instead.size() <= kPathMax && value.size() <= kRegistrationUrlBytesMax;
      });
  if (!ok || reason < 1 || reason > 5) return false;
  out.reason = static_cast<TailRefusal>(reason);
  return true;
}

std::string EncodeTailState(const TailState& m) {
  std::string out;
  PutIntField(out, 1, m.cluster_id);
  for (const NodeId id : m.path) PutIntField(out, 2, id.value());
  PutIntField(out, 3, m.leader ? 1 : 0);
  PutIntField(out, 4, m.commit.value());
  PutIntField(out, 5, PackAge(m.round_age));
  PutIntField(out, 7, m.leader_id.value());
  PutIntField(out, 8, m.term.value());
  PutIntField(out, 6, m.rooted ? 1 : 0);
  return out;
}

bool DecodeTailState(std::string_view bytes, TailState& out) {
  out = {};
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.cluster_id = value;
    if (field == 2) out.path.emplace_back(value);
    if (field == 3) out.leader = value != 0;
    if (field == 4) out.commit = Index(value);
    if (field == 5) out.round_age = UnpackAge(value);
    if (field == 7) out.leader_id = NodeId(value);
    if (field == 8) out.term = Term(value);
    if (field == 6) out.rooted = value != 0;
    return out.path.size() <= kPathMax;
  });
}

std::string EncodeReadIndex(const ReadIndex& m) {
  std::string out;
  PutIntField(out, 1, m.id);
  PutIntField(out, 2, m.relaxed ? 1 : 0);
  return out;
}

bool DecodeReadIndex(std::string_view bytes, ReadIndex& out) {
  out = {};
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.id = value;
    if (field == 2) out.relaxed = value != 0;
    return true;
  });
}

std::string EncodeReadIndexReply(const ReadIndexReply& m) {
  std::string out;
  PutIntField(out, 1, m.id);
  PutIntField(out, 2, m.ok ? 1 : 0);
  PutIntField(out, 3, m.index.value());
  return out;
}

bool DecodeReadIndexReply(std::string_view bytes, ReadIndexReply& out) {
  out = {};
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.id = value;
    if (field == 2) out.ok = value != 0;
    if (field == 3) out.index = Index(value);
    return true;
  });
}

std::string EncodeTailCredit(std::uint32_t bytes) {
  std::string out;
  PutLe(out, bytes);
  return out;
}

bool DecodeTailCredit(std::string_view bytes, std::uint32_t& out) {
  if (bytes.size() != sizeof(out)) return false;
  out = GetLe<std::uint32_t>(bytes.data());
  return true;
}

std::string EncodeRenewBundle(const RenewBundle& m) {
  std::string out;
  for (const Renewal& renewal : m.renewals) {
    std::string one;
    PutIntField(one, 1, renewal.id.value());
    PutIntField(one, 2, static_cast<std::uint64_t>(renewal.boot));
    PutIntField(one, 3, static_cast<std::uint64_t>(renewal.age));
    PutBytesField(out, 1, one);
  }
  for (const Registration& join : m.joins) {
    std::string one;
    PutRegistration(one, join);
    PutBytesField(out, 2, one);
  }
  return out;
}

namespace {

bool ReadRenewal(std::string_view bytes, Renewal& out) {
  out = {};
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.id = NodeId(value);
    if (field == 2) out.boot = static_cast<std::int64_t>(value);
    if (field == 3) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Micros>::max())) return false;
      out.age = static_cast<Micros>(value);
    }
    return true;
  });
}

}  // namespace

bool DecodeRenewBundle(std::string_view bytes, RenewBundle& out) {
  out = {};
  return ForEachField(
      bytes, [](std::uint32_t, std::uint64_t) { return true; },
      [&](std::uint32_t field, std::string_view value) {
        if (field == 1) {
          out.renewals.emplace_back();
          return out.renewals.size() <= kBundleMax && ReadRenewal(value, out.renewals.back());
        }
        if (field == 2) {
          out.joins.emplace_back();
          return out.joins.size() <= kBundleMax && ReadRegistration(value, out.joins.back());
        }
        return true;
      });
}

std::string EncodeNodeState(const NodeState& m) {
  std::string out;
  PutIntField(out, 1, m.id.value());
  PutIntField(out, 2, static_cast<std::uint64_t>(m.role));
  PutIntField(out, 3, m.ready ? 1 : 0);
  PutIntField(out, 4, m.draining ? 1 : 0);
  PutIntField(out, 5, m.leader.value());
  PutIntField(out, 6, m.term.value());
  PutIntField(out, 7, m.applied.value());
  PutIntField(out, 8, static_cast<std::uint64_t>(m.revision));
  PutIntField(out, 9, PackAge(m.staleness));
  PutIntField(out, 10, m.outstanding);
  PutIntField(out, 11, m.cpu_permille);
  PutIntField(out, 12, m.registry_version);
  return out;
}

bool DecodeNodeState(std::string_view bytes, NodeState& out) {
  out = {};
  std::uint64_t role = 0;
  const bool ok = ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.id = NodeId(value);
    if (field == 2) role = value;
    if (field == 3) out.ready = value != 0;
    if (field == 4) out.draining = value != 0;
    if (field == 5) out.leader = NodeId(value);
    if (field == 6) out.term = Term(value);
    if (field == 7) out.applied = Index(value);
    if (field == 8) out.revision = static_cast<Revision>(value);
    if (field == 9) out.staleness = UnpackAge(value);
    if (field == 10) out.outstanding = static_cast<std::uint32_t>(value);
    if (field == 11) out.cpu_permille = static_cast<std::uint32_t>(value);
    if (field == 12) out.registry_version = value;
    return true;
  });
  if (!ok || role < 1 || role > 3) return false;
  out.role = static_cast<NodeRole>(role);
  return true;
}

}  // namespace coppice::replica
