#include "proxy/pool.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/replica/replica_wire.h"

namespace coppice::proxy {
namespace {

constexpr Micros kTick = 100 * kMillisecond;
constexpr Micros kTickLate = 500 * kMillisecond;
// A new learner is used within a second, and one that restarts too: hence short pauses.
constexpr Micros kDialPauseMin = 20 * kMillisecond;
constexpr Micros kDialPauseMax = 500 * kMillisecond;

}  // namespace

Pool::Pool(io::Loop& loop, io::Transport& transport, const Options& options, Rng rng, Owner& owner)
    : loop_(loop),
      transport_(transport),
      replaced_after_(options.replaced_after),
      cluster_(options.cluster),
      rng_(rng),
      owner_(owner),
      router_(RouterOptions{}, Rng(rng.Next(), 1)) {
  for (const api::Url& url : options.upstreams)
    upstreams_.emplace(Address{url.host, url.port}, NodeId());
}

Pool::~Pool() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void Pool::Start() {
  router_.BeginTurn(loop_.Refresh());
  last_up_ = loop_.now();
  Reconcile();
  tick_at_ = loop_.now() + kTick;
  timer_ = loop_.RunAt(tick_at_, [this] { Tick(); });
}

Pool::Entry* Pool::Find(const node::Backend& backend) {
  Entry* entry = by_id_[static_cast<BackendId>(backend.tag)];
  return entry != nullptr && entry->backend.get() == &backend ? entry : nullptr;
}

std::size_t Pool::BeginTurn(Time now) {
  router_.BeginTurn(now);
  std::size_t total = 0;
  for (const auto& [address, entry] : entries_) {
    const std::size_t outstanding = entry.backend->outstanding();
    router_.SetOutstanding(entry.id, outstanding);
    total += outstanding;
  }
  return total;
}

void Pool::Send(BackendId id, const api::Request& request, std::unique_ptr<api::Replier> replier) {
  by_id_[id]->backend->Send(request, std::move(replier), node::Backend::Keep::kNo);
  router_.Sent(id);
}

void Pool::Expire(Time now) {
  for (auto& [address, entry] : entries_) entry.backend->Expire(now);
}

io::Connection* Pool::ConnectionOf(BackendId id) const {
  return id < by_id_.size() && by_id_[id] != nullptr ? by_id_[id]->backend->connection() : nullptr;
}

std::optional<BackendId> Pool::FindBackend(std::uint64_t connection) const {
  for (const auto& [address, entry] : entries_) {
    if (connection != 0 && entry.connection == connection) return entry.id;
  }
  return std::nullopt;
}

io::Connection* Pool::FindConnection(std::uint64_t connection) const {
  const auto id = FindBackend(connection);
  return id ? ConnectionOf(*id) : nullptr;
}

bool Pool::HasLeader() const {
  for (const auto& [address, entry] : entries_) {
    const replica::NodeState* state = router_.StateOf(entry.id);
    if (state == nullptr || state->leader == NodeId()) continue;
    const bool voter = state->role == replica::NodeRole::kVoter;
    if (router_.Fresh(entry.id) || (voter && router_.SpokeLately(entry.id))) return true;
  }
  return false;
}

std::size_t Pool::up() const {
  std::size_t count = 0;
  for (const auto& [address, entry] : entries_) count += entry.backend->up() ? 1 : 0;
  return count;
}

bool Pool::IsUp(NodeId node) const {
  if (node == NodeId()) return false;
  for (const auto& [address, entry] : entries_) {
    if (entry.node == node && entry.backend->up()) return true;
  }
  return false;
}

std::map<Pool::Address, NodeId> Pool::Wanted() const {
  std::map<Address, NodeId> wanted = upstreams_;
  for (const auto& [id, node] : registry_.nodes()) {
    if (node.registration.role == replica::NodeRole::kProxy) continue;
    for (const std::string& text : node.registration.peer_urls) {
      const auto url = api::ParseUrl("registry", text);
      if (url.ok()) wanted[{url->host, url->port}] = id;
    }
  }
  return wanted;
}

void Pool::Reconcile() {
  const std::map<Address, NodeId> wanted = Wanted();
  for (const auto& [address, node] : wanted) {
    const auto foreigner = foreigners_.find(address);
    if (foreigner != foreigners_.end() &&
        loop_.now() - foreigner->second.seen_at < replaced_after_ / 10) {
      continue;
    }
    if (!entries_.contains(address) && !IsUp(node)) Open(address);
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto& [address, entry] = *it++;
    if (!wanted.contains(address) && !entry.backend->up()) Retire(address);
  }
}

void Pool::Open(const Address& address) {
  Entry& entry = entries_[address];
  entry.id = router_.Add();
  if (entry.id >= by_id_.size()) by_id_.resize(entry.id + 1);
  by_id_[entry.id] = &entry;
  node::Link::Options options;
  options.host = address.first;
  options.port = address.second;
  options.pause_min = kDialPauseMin;
  options.pause_max = kDialPauseMax;
  entry.backend = std::make_unique<node::Backend>(loop_, transport_, std::move(options), *this,
                                                  Rng(rng_.Next()));
  entry.backend->tag = entry.id;
  entry.backend->Start();
}

void Pool::Retire(const Address& address) {
  const auto it = entries_.find(address);
  Entry& entry = it->second;
  router_.Remove(entry.id);
  by_id_[entry.id] = nullptr;
  retired_.push_back(std::move(entry.backend));
  entries_.erase(it);
}

void Pool::OnUp(node::Backend& backend) {
  Entry* const found = Find(backend);
  if (found == nullptr) return;
  Entry& entry = *found;
  const io::Hello& peer = backend.connection()->peer();
  const Address address{backend.host(), backend.port()};
  if (cluster_id_ == 0) JoinCluster(peer.cluster_id);
  if (peer.cluster_id != cluster_id_) return TurnAway(address, backend);
  foreigners_.erase(address);
  if (const auto it = upstreams_.find(address); it != upstreams_.end()) {
    it->second = NodeId(peer.node_id);
  }
  if (IsUp(NodeId(peer.node_id)) && entry.node != NodeId(peer.node_id)) {
    return Retire(address);  // the same process by another address
  }
  entry.node = NodeId(peer.node_id);
  entry.connection = backend.connection()->id();
  entry.said_down = false;
  router_.Up(entry.id);
  COPPICE_LOG(kInfo, "connected to {} {:x} at {}:{}", io::RoleName(peer.role), peer.node_id,
              address.first, address.second);
}

// Clients are spread over the loops: they must not be spread over two clusters.
void Pool::JoinCluster(std::uint64_t cluster_id) {
  cluster_id_ = cluster_id;
  std::uint64_t joined = 0;
  if (cluster_ == nullptr || cluster_->compare_exchange_strong(joined, cluster_id)) return;
  cluster_id_ = joined;
}

void Pool::TurnAway(const Address& address, node::Backend& backend) {
  Foreigner& foreigner = foreigners_[address];
  const std::uint64_t cluster_id = backend.connection()->peer().cluster_id;
  if (std::exchange(foreigner.cluster_id, cluster_id) != cluster_id) {
    COPPICE_LOG(kError, "{}:{} belongs to cluster {:x}, this proxy to {:x}: not used",
                address.first, address.second, cluster_id, cluster_id_);
  }
  foreigner.seen_at = loop_.now();
  backend.connection()->Close(
      MakeStatus(StatusCode::kFailedPrecondition, "belongs to another cluster"));
  Retire(address);
}

void Pool::LookForReplacement() {
  // One that is not ready may be a learner that was left behind: it will never be.
  if (router_.usable() > 0 || cluster_id_ == 0) last_up_ = loop_.now();
  if (foreigners_.empty()) return;
  reconcile_ = true;  // to look at them again
  if (said_replaced_ || loop_.now() - last_up_ < replaced_after_) return;
  std::map<std::uint64_t, std::size_t> counts;
  for (const auto& [address, foreigner] : foreigners_) {
    const bool recent = loop_.now() - foreigner.seen_at < replaced_after_ / 2;
    if (recent && upstreams_.contains(address)) ++counts[foreigner.cluster_id];
  }
  if (counts.size() != 1 || counts.begin()->second <= upstreams_.size() / 2) return;
  said_replaced_ = true;
  owner_.OnReplaced(counts.begin()->first);
}

void Pool::OnDown(node::Backend& backend, const Status& reason,
                  std::vector<node::Unanswered> left) {
  Entry* const found = Find(backend);
  if (found == nullptr) return;
  Entry& entry = *found;
  const std::uint64_t connection = std::exchange(entry.connection, 0);
  entry.fresh = false;
  reconcile_ = true;
  if (connection == 0) {  // a dial that failed; one line, as it is repeated for ever
    if (!std::exchange(entry.said_down, true)) {
      COPPICE_LOG(kWarn, "cannot use {}:{} yet: {}", backend.host(), backend.port(),
                  MessageOf(reason));
    }
    return;
  }
  router_.Down(entry.id);
  COPPICE_LOG(kInfo, "lost the connection to {:x} at {}:{}: {}", entry.node.value(), backend.host(),
              backend.port(), MessageOf(reason));
  owner_.OnConnectionLost(connection);
  owner_.OnLost(std::move(left));
  owner_.OnChange();
}

void Pool::OnNotProposed(node::Backend& backend, node::Unanswered request) {
  if (Find(backend) != nullptr) owner_.OnNotProposed(std::move(request));
}

void Pool::OnAnswered(node::Backend& backend, Micros latency) {
  if (Entry* entry = Find(backend)) router_.Answered(entry->id, latency, loop_.wake_time());
}

void Pool::OnFrame(node::Backend& backend, const io::Frame& frame) {
  Entry* const found = Find(backend);
  if (found == nullptr) return;
  Entry& entry = *found;
  switch (frame.type) {
    case io::FrameType::kNodeState: {
      replica::NodeState state;
      if (!replica::DecodeNodeState(frame.payload, state)) return;
      router_.Heard(entry.id, state, loop_.wake_time());
      term_ = std::max(term_, state.term);
      UpdateFreshness();
      return owner_.OnChange();
    }
    case io::FrameType::kRegistry:
      return TakeRegistry(frame.payload);
    case io::FrameType::kGoAway:
      router_.GoingAway(entry.id);
      return UpdateFreshness();
    default:
      return owner_.OnWatchFrame(entry.connection, frame);
  }
}

// Each connection tells what its own node has applied: the newest counts.
void Pool::TakeRegistry(std::string_view payload) {
  replica::Registry registry;
  if (!registry.LoadContents(payload) || registry.version() <= registry_.version()) return;
  registry_ = std::move(registry);
  reconcile_ = true;
  Reconcile();
  owner_.OnRegistry();
}

void Pool::UpdateFreshness() {
  for (auto& [address, entry] : entries_) {
    if (entry.connection == 0) continue;
    const bool fresh =
        router_.Usable(entry.id) && !router_.Silent(entry.id) && router_.Fresh(entry.id);
    if (fresh == entry.fresh) continue;
    entry.fresh = fresh;
    fresh ? owner_.OnConnectionFresh(entry.connection) : owner_.OnConnectionStale(entry.connection);
  }
}

// A fresher one may have appeared meanwhile.
void Pool::RemindOfStale() {
  for (const auto& [address, entry] : entries_) {
    if (entry.connection != 0 && !entry.fresh) owner_.OnConnectionStale(entry.connection);
  }
}

// One that does not speak although its connection stands (stopped, or cut off without a reset)
// keeps no read that another, which is ready, could answer.
void Pool::GiveUpHung() {
  bool another = false;
  for (const auto& [address, entry] : entries_) {
    another = another || (router_.Usable(entry.id) && !router_.Silent(entry.id));
  }
  if (!another) return;
  for (const auto& [address, entry] : entries_) {
    if (!router_.Silent(entry.id) || entry.backend->outstanding() == 0) continue;
    auto left = entry.backend->Withdraw(
        [this](const api::Replier& replier) { return owner_.MayRepeat(replier); });
    if (!left.empty()) owner_.OnLost(std::move(left));
  }
}

void Pool::Tick() {
  const bool late = loop_.now() - tick_at_ > kTickLate;
  tick_at_ = loop_.now() + kTick;
  timer_ = loop_.RunAt(tick_at_, [this] { Tick(); });
  retired_.clear();
  router_.BeginTurn(loop_.now());
  if (std::exchange(reconcile_, false)) Reconcile();
  UpdateFreshness();
  RemindOfStale();
  GiveUpHung();
  LookForReplacement();
  // Silence changes something too; but after a pause of this process it may only be unread.
  if (!late) owner_.OnChange();
}

}  // namespace coppice::proxy
