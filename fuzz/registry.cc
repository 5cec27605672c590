// The registry's bytes: what an entry, a frame or a stored row may bring. Whatever is applied, the
// rows that it writes bring back the same registry, a copy sent to others is the same, two replicas
// stay equal, and no registration is kept that CheckRegistration refuses.

#include "common/replica/registry.h"

#include <map>
#include <string>
#include <vector>

#include "common/base/check.h"
#include "common/mvcc/store.h"
#include "common/replica/registry_keeper.h"
#include "common/replica/replica_wire.h"
#include "fuzz/input.h"
#include "fuzz/stable.h"
#include "fuzz/target.h"

namespace coppice::fuzz {
namespace {

using replica::CheckRegistration;
using replica::DecodeRenewBundle;
using replica::EncodeRegistryChange;
using replica::EncodeRenewBundle;
using replica::NodeRole;
using replica::NodeState;
using replica::Registration;
using replica::Registry;
using replica::RegistryChange;
using replica::RegistryExpire;
using replica::RegistryJoin;
using replica::RegistryRemove;
using replica::Renewal;
using replica::RenewBundle;

// A replica: the registry and the rows of the store's meta that keep it.
class Replica {
 public:
  std::string Apply(Index index, std::string_view payload) {
    std::vector<mvcc::MetaWrite> writes;
    const Registry::Outcome outcome = registry_.Apply(index, payload, writes);
    COPPICE_CHECK(outcome.changed != writes.empty(), "rows change with the registry");
    COPPICE_CHECK(!outcome.changed || outcome.refused.empty());
    for (mvcc::MetaWrite& write : writes) {
      COPPICE_CHECK(write.key.starts_with(Registry::kPrefix));
      if (write.value.empty()) {
        rows_.erase(write.key);
      } else {
        rows_[write.key] = std::move(write.value);
      }
    }
    return outcome.refused;
  }

  // The registry as it would be after a restart.
  void Restart() {
    Registry loaded;
    for (const auto& [key, value] : rows_) {
      COPPICE_CHECK(loaded.LoadRow(key, value), "a node can start again from what it wrote");
    }
    COPPICE_CHECK(loaded.EncodeContents() == registry_.EncodeContents());
    registry_ = std::move(loaded);
  }

  void Check() const {
    Registry copy;
    COPPICE_CHECK(copy.LoadContents(registry_.EncodeContents()));
    COPPICE_CHECK(copy.EncodeContents() == registry_.EncodeContents());
    std::map<std::string, int> names;
    for (const auto& [id, node] : registry_.nodes()) {
      COPPICE_CHECK(CheckRegistration(node.registration).empty());
      COPPICE_CHECK(node.registration.id == id && registry_.FindBan(id) == nullptr);
      COPPICE_CHECK(++names[node.registration.name] == 1, "a name belongs to one node");
    }
  }

  Registry& registry() { return registry_; }

 private:
  Registry registry_;
  std::map<std::string, std::string> rows_;
};

Registration ReadNode(Input& input) {
  Registration r;
  r.id = NodeId(input.Byte() % 8);
  r.name = std::string(1, static_cast<char>('a' + input.Byte() % 4));
  if (input.Flag()) r.name = input.Chunk();
  r.role = static_cast<NodeRole>(input.Byte() % 5);
  for (std::size_t n = input.Byte() % 20; n > 0; --n) r.client_urls.emplace_back(input.Bytes(4));
  for (std::size_t n = input.Byte() % 3; n > 0; --n) r.peer_urls.emplace_back(input.Chunk());
  r.metrics_url = input.Bytes(3);
  r.parent = NodeId(input.Byte());
  r.boot = input.Number<std::int64_t>();
  if (input.Flag()) r.ttl = input.Number<std::int64_t>();
  return r;
}

RegistryChange ReadChange(Input& input) {
  switch (input.Byte() % 4) {
    case 0:
      return RegistryExpire{NodeId(input.Byte() % 8), input.Byte()};
    case 1:
      return RegistryRemove{NodeId(input.Byte() % 8), std::string(input.Chunk())};
    default:
      return RegistryJoin{ReadNode(input)};
  }
}

std::string EncodeRegistration(const Registration& registration) {
  std::string out;
  replica::PutRegistration(out, registration);
  return out;
}

void CheckDecoders(std::string_view bytes) {
  CheckStable<Registration>(bytes, replica::ReadRegistration, EncodeRegistration);
  CheckStable<RenewBundle>(bytes, DecodeRenewBundle, EncodeRenewBundle);
  CheckStable<NodeState>(bytes, replica::DecodeNodeState, replica::EncodeNodeState);
  Registry contents;
  if (contents.LoadContents(bytes)) {
    Registry again;
    COPPICE_CHECK(again.LoadContents(contents.EncodeContents()));
    COPPICE_CHECK(again.EncodeContents() == contents.EncodeContents());
  } else {
    COPPICE_CHECK(contents.nodes().empty() && contents.version() == 0, "unchanged if malformed");
  }
}

// Two replicas, the leader's keeper, and a node that relays for others.
class World {
 public:
  void Step(Input& input) {
    now_ += static_cast<Micros>(input.Number<std::uint32_t>());
    switch (input.Byte() % 8) {
      case 0:
        return Apply(std::string(input.Chunk()));
      case 1:
        return Renew(std::string(input.Chunk()));
      case 2:
        return Renew(Bundle(input));
      case 3:
        second_.Restart();
        return;
      case 4:
        input.Flag() ? keeper_.BecomeLeader(now_) : keeper_.StepDown();
        return;
      case 5:
        keeper_.Expire(now_, proposals_);
        COPPICE_CHECK(keeper_.NextDeadline() > 0 || !keeper_.leading());
        return Propose();
      case 6: {
        Registration own = ReadNode(input);
        if (CheckRegistration(own).empty()) renewer_.SetOwn(std::move(own));
        return;
      }
      default:
        return Apply(EncodeRegistryChange(ReadChange(input)));
    }
  }

  void End() {
    first_.Check();
    second_.Restart();
    second_.Check();
  }

 private:
  static std::string Bundle(Input& input) {
    RenewBundle bundle;
    for (std::size_t n = input.Byte() % 4; n > 0; --n) {
      bundle.renewals.push_back(
          {NodeId(input.Byte() % 8), input.Number<std::int64_t>(), input.Number<std::int64_t>()});
    }
    for (std::size_t n = input.Byte() % 3; n > 0; --n) bundle.joins.push_back(ReadNode(input));
    return EncodeRenewBundle(bundle);
  }

  void Renew(const std::string& bytes) {
    RenewBundle bundle;
    if (!DecodeRenewBundle(bytes, bundle)) return;
    renewer_.Received(now_, bundle);
    const RenewBundle relayed = renewer_.Take(now_);
    RenewBundle received;
    COPPICE_CHECK(DecodeRenewBundle(EncodeRenewBundle(relayed), received));
    for (const Renewal& renewal : received.renewals) COPPICE_CHECK(renewal.age >= 0);
    keeper_.Received(now_, bundle, proposals_);
    keeper_.Received(now_, received, proposals_);
    Propose();
  }

  void Propose() {
    for (const std::string& payload : std::exchange(proposals_, {})) {
      RegistryChange change;
      COPPICE_CHECK(replica::DecodeRegistryChange(payload, change),
                    "a keeper proposes what can be applied");
      Apply(payload);
    }
  }

  void Apply(const std::string& payload) {
    ++index_;
    const std::string first = first_.Apply(index_, payload);
    COPPICE_CHECK(first == second_.Apply(index_, payload));
    COPPICE_CHECK(first_.registry().EncodeContents() == second_.registry().EncodeContents());
  }

  Time now_ = 1000 * kSecond;
  Index index_;
  Replica first_, second_;
  replica::RegistryKeeper keeper_{first_.registry()};
  replica::RegistryRenewer renewer_{first_.registry()};
  std::vector<std::string> proposals_;
};

void Run(std::string_view bytes) {
  Input input(bytes);
  if (input.Flag()) return CheckDecoders(input.Rest());
  World world;
  for (int steps = 0; steps < 200 && !input.done(); ++steps) world.Step(input);
  world.End();
}

Registration Sample(std::uint64_t id, std::string name) {
  Registration r;
  r.id = NodeId(id);
  r.name = std::move(name);
  r.client_urls = {"http://127.0.0.1:1"};
  r.peer_urls = {"http://127.0.0.1:2"};
  r.metrics_url = "http://127.0.0.1:3";
  r.boot = 100;
  return r;
}

// A step of World that applies or receives `payload`.
std::string StepWith(char kind, std::string_view payload) {
  std::string out("\x10\0\0\0", 4);
  out.push_back(kind);
  PutChunk(out, payload);
  return out;
}

std::vector<std::string> Seeds() {
  const std::string joined = EncodeRegistryChange(RegistryJoin{Sample(1, "l1")});
  RenewBundle bundle;
  bundle.renewals = {{NodeId(1), 100, 5}, {NodeId(2), 7, 0}};
  bundle.joins = {Sample(3, "l3")};
  Registry registry;
  std::vector<mvcc::MetaWrite> writes;
  registry.Apply(Index(1), joined, writes);
  NodeState state;
  state.id = NodeId(5);
  state.staleness = 77;
  const std::string odd(1, '\1');
  const std::string even(1, '\0');
  const std::string lead = std::string("\0\0\0\0", 4) + "\4\1";
  const std::string expire = EncodeRegistryChange(RegistryExpire{NodeId(1), 1});
  const std::string remove = EncodeRegistryChange(RegistryRemove{NodeId(1), "broken disk"});
  return {
      odd + EncodeRegistration(Sample(1, "l1")),
      odd + EncodeRenewBundle(bundle),
      odd + replica::EncodeNodeState(state),
      odd + registry.EncodeContents(),
      even + StepWith(0, joined) + StepWith(0, expire) + StepWith(0, joined) + StepWith(0, remove),
      even + lead + StepWith(0, joined) + StepWith(1, EncodeRenewBundle(bundle)) +
          std::string("\xff\xff\xff\x7f\5", 5) + StepWith(3, ""),
  };
}

}  // namespace

Target RegistryTarget() {
  return {"registry", Run, Seeds};
}

}  // namespace coppice::fuzz
