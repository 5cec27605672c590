#include "common/replica/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/coding.h"
#include "common/mvcc/store.h"
#include "common/replica/wire_fields.h"

namespace coppice::replica {
namespace {

constexpr std::string_view kNodeKey = "registry/node/";
constexpr std::string_view kBanKey = "registry/ban/";
constexpr std::string_view kVersionKey = "registry/version";
constexpr std::size_t kReasonMax = 1024;

std::string KeyOf(std::string_view prefix, NodeId id) {
  return fmt::format("{}{:016x}", prefix, id.value());
}

// The id at the end of a row's key; 0 if it is none.
NodeId IdOf(std::string_view key, std::string_view prefix) {
  if (key.size() != prefix.size() + 16 || key.substr(0, prefix.size()) != prefix) return NodeId(0);
  std::uint64_t value = 0;
  for (const char c : key.substr(prefix.size())) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return NodeId(0);
    value = value << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return NodeId(value);
}

std::string EncodeNode(const Registry::Node& node) {
  std::string registration;
  PutRegistration(registration, node.registration);
  std::string out;
  PutBytesField(out, 1, registration);
  PutIntField(out, 2, node.version);
  return out;
}

bool DecodeNode(std::string_view bytes, Registry::Node& out) {
  out = {};
  return ForEachField(
             bytes,
             [&](std::uint32_t field, std::uint64_t value) {
               if (field == 2) out.version = value;
               return true;
             },
             [&](std::uint32_t field, std::string_view value) {
               return field != 1 || ReadRegistration(value, out.registration);
             }) &&
         out.registration.id != NodeId(0);
}

std::string EncodeBan(NodeId id, const Registry::Ban& ban) {
  std::string out;
  PutIntField(out, 1, id.value());
  PutBytesField(out, 2, ban.reason);
  PutBytesField(out, 3, ban.name);
  return out;
}

bool DecodeBan(std::string_view bytes, NodeId& id, Registry::Ban& out) {
  out = {};
  id = NodeId(0);
  return ForEachField(
             bytes,
             [&](std::uint32_t field, std::uint64_t value) {
               if (field == 1) id = NodeId(value);
               return true;
             },
             [&](std::uint32_t field, std::string_view value) {
               if (field == 2) out.reason = value;
               if (field == 3) out.name = value;
               return true;
             }) &&
         id != NodeId(0);
}

}  // namespace

std::string EncodeRegistryChange(const RegistryChange& change) {
  std::string body;
  std::uint32_t field = 0;
  if (const auto* join = std::get_if<RegistryJoin>(&change)) {
    field = 1;
    PutRegistration(body, join->registration);
  } else if (const auto* expire = std::get_if<RegistryExpire>(&change)) {
    field = 2;
    PutIntField(body, 1, expire->id.value());
    PutIntField(body, 2, expire->version);
  } else {
    field = 3;
    const auto& remove = std::get<RegistryRemove>(change);
    PutIntField(body, 1, remove.id.value());
    PutBytesField(body, 2, remove.reason);
  }
  std::string out;
  PutBytesField(out, field, body);
  return out;
}

namespace {

bool DecodeExpire(std::string_view bytes, RegistryExpire& out) {
  return ForEachNumber(bytes, [&](std::uint32_t field, std::uint64_t value) {
    if (field == 1) out.id = NodeId(value);
    if (field == 2) out.version = value;
    return true;
  });
}

bool DecodeRemove(std::string_view bytes, RegistryRemove& out) {
  return ForEachField(
      bytes,
      [&](std::uint32_t field, std::uint64_t value) {
        if (field == 1) out.id = NodeId(value);
        return true;
      },
      [&](std::uint32_t field, std::string_view value) {
        if (field == 2) out.reason = value.substr(0, kReasonMax);
        return true;
      });
}

}  // namespace

bool DecodeRegistryChange(std::string_view bytes, RegistryChange& out) {
  bool found = false;
  const bool ok = ForEachField(
      bytes, [](std::uint32_t, std::uint64_t) { return true; },
      [&](std::uint32_t field, std::string_view value) {
        if (field < 1 || field > 3) return true;
        if (std::exchange(found, true)) return false;
        if (field == 1) return ReadRegistration(value, out.emplace<RegistryJoin>().registration);
        if (field == 2) return DecodeExpire(value, out.emplace<RegistryExpire>());
        return DecodeRemove(value, out.emplace<RegistryRemove>());
      });
  return ok && found;
}

void Registry::Clear() {
  *this = {};
}

bool Registry::LoadRow(std::string_view key, std::string_view value) {
  if (key == kVersionKey) {
    if (value.size() != sizeof(version_)) return false;
    version_ = GetLe<std::uint64_t>(value.data());
    return true;
  }
  if (const NodeId id = IdOf(key, kNodeKey); id != NodeId(0)) {
    Node node;
    if (!DecodeNode(value, node) || node.registration.id != id) return false;
    nodes_[id] = std::move(node);
    return true;
  }
  if (const NodeId id = IdOf(key, kBanKey); id != NodeId(0)) {
    Ban ban;
    NodeId named;
    if (!DecodeBan(value, named, ban) || named != id) return false;
    bans_[id] = std::move(ban);
    return true;
  }
  return false;
}

const Registry::Node* Registry::Find(NodeId id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : &found->second;
}

const Registry::Ban* Registry::FindBan(NodeId id) const {
  const auto found = bans_.find(id);
  return found == bans_.end() ? nullptr : &found->second;
}

Registry::Outcome Registry::Apply(Index index, std::string_view payload,
                                  std::vector<mvcc::MetaWrite>& writes) {
  RegistryChange change;
  if (!DecodeRegistryChange(payload, change)) return {false, "a malformed registry change"};
  Outcome outcome;
  if (const auto* join = std::get_if<RegistryJoin>(&change)) {
    outcome = ApplyJoin(index, *join, writes);
  } else if (const auto* expire = std::get_if<RegistryExpire>(&change)) {
    outcome = ApplyExpire(*expire, writes);
  } else {
    outcome = ApplyRemove(std::get<RegistryRemove>(change), writes);
  }
  if (outcome.changed) {
    version_ = index.value();
    std::string version;
    PutLe(version, version_);
    writes.push_back({std::string(kVersionKey), std::move(version)});
  }
  return outcome;
}

std::string Registry::WhyRefused(const Registration& r) const {
  if (std::string wrong = CheckRegistration(r); !wrong.empty()) return wrong;
  if (const Ban* ban = FindBan(r.id)) {
    return fmt::format("node {:x} was removed from the cluster: {}", r.id.value(), ban->reason);
  }
  if (const Node* known = Find(r.id); known != nullptr && known->registration.boot > r.boot) {
    return "a newer process has this node's id";
  }
  for (const auto& [id, node] : nodes_) {
    if (id != r.id && node.registration.name == r.name && node.registration.boot >= r.boot) {
      return fmt::format("the name \"{}\" belongs to node {:x}, which started later", r.name,
                         id.value());
    }
  }
  return {};
}

Registry::Outcome Registry::ApplyJoin(Index index, const RegistryJoin& join,
                                      std::vector<mvcc::MetaWrite>& writes) {
  const Registration& r = join.registration;
  if (std::string why = WhyRefused(r); !why.empty()) return {false, std::move(why)};
  if (const Node* known = Find(r.id); known != nullptr && known->registration == r) return {};
  const auto same_name = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& item) {
    return item.first != r.id && item.second.registration.name == r.name;
  });
  if (same_name != nodes_.end()) Erase(NodeId(same_name->first), writes);
  Node& node = nodes_[r.id];
  node = {r, index.value()};
  writes.push_back({KeyOf(kNodeKey, r.id), EncodeNode(node)});
  return {true, {}};
}

Registry::Outcome Registry::ApplyExpire(const RegistryExpire& expire,
                                        std::vector<mvcc::MetaWrite>& writes) {
  const Node* node = Find(expire.id);
  if (node == nullptr) return {};
  if (node->version != expire.version) return {false, "it has registered again since"};
  Erase(expire.id, writes);
  return {true, {}};
}

Registry::Outcome Registry::ApplyRemove(const RegistryRemove& remove,
                                        std::vector<mvcc::MetaWrite>& writes) {
  const Node* node = Find(remove.id);
  if (node == nullptr) return {false, "no learner or proxy has this id"};
  Ban& ban = bans_[remove.id];
  ban = {remove.reason.substr(0, kReasonMax), node->registration.name};
  writes.push_back({KeyOf(kBanKey, remove.id), EncodeBan(remove.id, ban)});
  Erase(remove.id, writes);
  return {true, {}};
}

void Registry::Erase(NodeId id, std::vector<mvcc::MetaWrite>& writes) {
  nodes_.erase(id);
  writes.push_back({KeyOf(kNodeKey, id), {}});
}

std::string Registry::EncodeContents() const {
  std::string out;
  PutIntField(out, 1, version_);
  for (const auto& [id, node] : nodes_) PutBytesField(out, 2, EncodeNode(node));
  for (const auto& [id, ban] : bans_) PutBytesField(out, 3, EncodeBan(id, ban));
  return out;
}

bool Registry::LoadContents(std::string_view bytes) {
  Registry fresh;
  const bool ok = ForEachField(
      bytes,
      [&](std::uint32_t field, std::uint64_t value) {
        if (field == 1) fresh.version_ = value;
        return true;
      },
      [&](std::uint32_t field, std::string_view value) {
        if (field == 2) {
          Node node;
          if (!DecodeNode(value, node)) return false;
          const NodeId id = node.registration.id;
          fresh.nodes_[id] = std::move(node);
        } else if (field == 3) {
          Ban ban;
          NodeId id;
          if (!DecodeBan(value, id, ban)) return false;
          fresh.bans_[id] = std::move(ban);
        }
        return true;
      });
  if (ok) *this = std::move(fresh);
  return ok;
}

}  // namespace coppice::replica
