#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/replica/registration.h"

// Named only: the proxy follows the registry and must not get the store with it.
namespace coppice::mvcc {
struct MetaWrite;
}

namespace coppice::replica {

// --- The payload of a kRegistry entry.

struct RegistryJoin {  // a new node, or changed data of a known one
  Registration registration;
};
struct RegistryExpire {  // only if it is still as of `version`: a node that came back stays
  NodeId id;
  std::uint64_t version = 0;
};
struct RegistryRemove {  // MemberRemove of a read learner: gone, and its id never joins again
  NodeId id;
  std::string reason;
};
using RegistryChange = std::variant<RegistryJoin, RegistryExpire, RegistryRemove>;
std::string EncodeRegistryChange(const RegistryChange& change);
bool DecodeRegistryChange(std::string_view bytes, RegistryChange& out);

// Who belongs to the cluster besides the voters: learners and proxies, the same on every node
// (docs/architecture.md, "Registry"). Kept under "registry/" in the store's meta, outside revisions
// and HashKV; renewals are not in it (registry_keeper.h).
//
// Rules, the same on each node because they see the entries alone:
// - a banned id is refused, for ever, with the reason that the ban names;
// - a name belongs to one node. A join with another id takes it over if its process started later
//   (the older entry goes); an older process is refused. So a replaced machine needs no cleaning
//   up, and two live ones with one name do not take turns;
// - of one id the newer boot wins likewise; the same boot may change its data.
//
// Thread: the apply loop. Deterministic.
class Registry {
 public:
  struct Node {
    Registration registration;
    std::uint64_t version = 0;  // index of the entry that made it so
  };
  struct Ban {
    std::string reason;
    std::string name;
  };
  struct Outcome {
    bool changed = false;
    std::string refused;  // why, if it was
  };
  using Nodes = std::map<NodeId, Node>;

  static constexpr std::string_view kPrefix = "registry/";

  // From the store's meta, at start: one row of those under kPrefix. False: damaged.
  bool LoadRow(std::string_view key, std::string_view value);
  void Clear();

  // Applies one kRegistry entry; appends what changed to `writes`, for the same batch as the
  // entry's index. Malformed payloads are refused, equally everywhere.
  Outcome Apply(Index index, std::string_view payload, std::vector<mvcc::MetaWrite>& writes);

  const Nodes& nodes() const { return nodes_; }
  const Node* Find(NodeId id) const;
  const Ban* FindBan(NodeId id) const;
  // Why this node may not join as things are; empty if it may.
  std::string WhyRefused(const Registration& registration) const;
  std::uint64_t version() const { return version_; }  // index of the last entry that changed it

  // Everything, for those that hold no store (frame kRegistry).
  std::string EncodeContents() const;
  // Replaces the contents; false, and unchanged, if malformed.
  bool LoadContents(std::string_view bytes);

 private:
  Outcome ApplyJoin(Index index, const RegistryJoin& join, std::vector<mvcc::MetaWrite>& writes);
  Outcome ApplyExpire(const RegistryExpire& expire, std::vector<mvcc::MetaWrite>& writes);
  Outcome ApplyRemove(const RegistryRemove& remove, std::vector<mvcc::MetaWrite>& writes);
  void Erase(NodeId id, std::vector<mvcc::MetaWrite>& writes);

  Nodes nodes_;
  std::map<NodeId, Ban> bans_;
  std::uint64_t version_ = 0;
};

}  // namespace coppice::replica
