#include "common/node/io_services.h"

#include <utility>

#include "common/replica/replica_wire.h"
#include "coppice.pb.h"

namespace coppice::node {
namespace {

constexpr Micros kDrainCheck = 30 * kMillisecond;
constexpr Micros kStateInterval = 100 * kMillisecond;

api::EdgeOptions EdgeOptionsOf(const IoSettings& settings, api::EdgeObserver& observer) {
  api::EdgeOptions options;
  options.limits = settings.limits;
  options.listener_defaults = settings.listener_defaults;
  options.observer = &observer;
  return options;
}

IoNode::Options NodeOptions(int index, const IoSettings& settings) {
  IoNode::Options options;
  options.index = index;
  options.limits = settings.limits;
  options.cluster_id = settings.cluster_id;
  return options;
}

WatchServices::Options WatchOptions(int index, const IoSettings& settings) {
  return {index, settings.cluster_id, settings.transport.hello.node_id, settings.listener_defaults,
          settings.tuning};
}

coppice::Node::Role RoleOf(replica::NodeRole role) {
  return static_cast<coppice::Node::Role>(role);
}

}  // namespace

IoServices::IoServices(io::Loop& loop, int index, const IoSettings& settings, mvcc::Store& store,
                       CorePort& core, metrics::Registry& metrics)
    : loop_(loop),
      index_(index),
      store_(store),
      requests_(loop, node_, &watches_),
      transport_(settings.host->MakeTransport(loop, settings.transport,
                                              [this](const io::Hello&) { return &requests_; })),
      forwarder_(loop, *transport_, Rng(settings.host->RandomId())),
      node_(loop, NodeOptions(index, settings), store, core, forwarder_),
      watches_(loop, WatchOptions(index, settings), store, core, node_),
      metrics_(metrics),
      edge_(node_, loop, EdgeOptionsOf(settings, metrics_)),
      health_([this] { return facts_->ready && !facts_->draining; }),
      methods_(edge_.Methods(&watches_.edge(), health_)),
      message_bytes_max_(settings.limits.request_bytes_max + rpc::kMessageSlack),
      http_(settings.http) {
  requests_.SetGreeting([this](io::Connection& connection) { Greet(connection); });
  requests_.SetRenewals([this, &core](std::string_view payload) {
    replica::RenewBundle bundle;
    if (replica::DecodeRenewBundle(payload, bundle)) core.Renewals(index_, std::move(bundle));
  });
  node_.SetClusterStatus([this](const api::Request&, std::unique_ptr<api::Replier> replier) {
    AnswerClusterStatus(std::move(replier));
  });
  loop_.SetQuiescence([this](bool blocking) { store_.Quiesce(index_, blocking); });
}

IoServices::~IoServices() {
  if (timer_ != 0) loop_.Cancel(timer_);
  requests_.Forget();
}

rpc::Server& IoServices::OpenServer() {
  rpc::ServerOptions options;
  options.message_bytes_max = message_bytes_max_;
  server_ = std::make_unique<rpc::Server>(loop_, options, methods_, http_);
  return *server_;
}

void IoServices::Start() {
  counted_at_ = loop_.now();
  timer_ = loop_.RunAt(loop_.now() + kStateInterval, [this] { Tick(); });
}

void IoServices::Drain(Micros grace, std::function<void()> done) {
  const Time until = loop_.now() + grace;
  if (server_ == nullptr) return WaitIdle(until, std::move(done));
  server_->Drain(grace, [this, until, done = std::move(done)]() mutable {
    if (requests_.connections() == 0) return WaitIdle(until, std::move(done));
    loop_.RunAt(loop_.now() + kDrainCheck,
                [this, until, done = std::move(done)]() mutable { WaitIdle(until, done); });
  });
}

void IoServices::WaitIdle(Time until, std::function<void()> done) {
  if (loop_.now() >= until || (requests_.outstanding() == 0 && node_.idle())) return done();
  loop_.RunAt(loop_.now() + kDrainCheck,
              [this, until, done = std::move(done)]() mutable { WaitIdle(until, done); });
}

void IoServices::ViewPublished(Revision revision, const std::vector<mvcc::EventBatchPtr>& events) {
  node_.ViewPublished(revision, events);
  watches_.OnEvents(revision, events);
}

void IoServices::FactsChanged(const FactsPtr& facts) {
  facts_ = facts;
  node_.FactsChanged(facts);
  watches_.SetFacts(facts);
  health_.Update();
  UpdateFigures();  // whoever sees that it is ready finds them
  if (requests_.connections() == 0) return;
  requests_.Broadcast(io::FrameType::kNodeState, StateBytes());
  if (facts_->registry != nullptr && facts_->registry_version != registry_sent_) {
    registry_sent_ = facts_->registry_version;
    requests_.Broadcast(io::FrameType::kRegistry, *facts_->registry);
  }
}

void IoServices::UpdateFigures() {
  const mvcc::ReadView& view = store_.View(index_);
  figures_.applied.store(view.applied.value(), std::memory_order_relaxed);
  figures_.revision.store(view.revision, std::memory_order_relaxed);
  figures_.fresh_as_of.store(view.fresh_as_of, std::memory_order_relaxed);
  figures_.received.store(requests_.received(), std::memory_order_relaxed);
}

void IoServices::Tick() {
  timer_ = loop_.RunAt(loop_.now() + kStateInterval, [this] { Tick(); });
  if (requests_.connections() > 0) {
    requests_.Broadcast(io::FrameType::kNodeState, StateBytes());
  }
  UpdateFigures();
  const Micros since = loop_.now() - counted_at_;
  if (since < kSecond) return;
  const std::uint64_t count = metrics_.requests() + requests_.received();
  per_second_ = static_cast<double>(count - counted_) * kSecond / static_cast<double>(since);
  counted_ = count;
  counted_at_ = loop_.now();
}

std::string IoServices::StateBytes() {
  const mvcc::ReadView& view = store_.View(index_);
  replica::NodeState state;
  state.id = facts_->node;
  state.role = facts_->learner ? replica::NodeRole::kLearner : replica::NodeRole::kVoter;
  state.ready = facts_->ready;
  state.draining = facts_->draining;
  state.leader = facts_->leader;
  state.term = facts_->term;
  state.applied = view.applied;
  state.revision = view.revision;
  state.staleness = view.fresh_as_of == 0 ? -1 : loop_.Refresh() - view.fresh_as_of;
  state.outstanding = static_cast<std::uint32_t>(requests_.outstanding());
  state.registry_version = facts_->registry_version;
  return replica::EncodeNodeState(state);
}

void IoServices::Greet(io::Connection& connection) {
  const std::string state = StateBytes();
  io::Frame frame;
  frame.type = io::FrameType::kNodeState;
  frame.payload = state;
  connection.Send(frame);
  if (facts_->registry == nullptr) return;
  frame.type = io::FrameType::kRegistry;
  frame.payload = *facts_->registry;
  connection.Send(frame);
}

void IoServices::AnswerClusterStatus(std::unique_ptr<api::Replier> replier) {
  const mvcc::ReadView& view = store_.View(index_);
  coppice::ClusterStatusResponse response;
  response.set_cluster_id(facts_->cluster_id);
  response.set_member_id(facts_->node.value());
  if (facts_->members != nullptr) {
    for (const replica::Registration& member : *facts_->members) {
      coppice::Node& node = *response.add_nodes();
      node.set_name(member.name);
      node.set_id(member.id.value());
      node.set_role(RoleOf(member.role));
      node.set_is_leader(member.id == facts_->leader);
      for (const std::string& url : member.client_urls) node.add_client_urls(url);
      node.set_parent(member.parent.value());
      node.set_staleness_us(-1);
      if (member.id != facts_->node) continue;
      node.set_term(facts_->term.value());
      node.set_revision(view.revision);
      node.set_applied_index(view.applied.value());
      const Index known = std::max(facts_->known_commit, view.applied);
      node.set_lag_entries(known - view.applied);
      node.set_staleness_us(view.fresh_as_of == 0 ? -1 : loop_.now() - view.fresh_as_of);
      node.set_requests_per_second(per_second_);
      node.set_healthy(facts_->ready);
      if (facts_->parent != NodeId()) node.set_parent(facts_->parent.value());
    }
  }
  api::Served served;
  served.by = facts_->node;
  std::string bytes;
  response.SerializeToString(&bytes);
  const std::string_view piece = bytes;
  replier->Ok({&piece, 1}, served);
}

}  // namespace coppice::node
