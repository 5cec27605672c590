#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loadgen/sim/checks/checks.h"
#include "loadgen/sim/clients/requests.h"
#include "loadgen/sim/clients/shared.h"
#include "loadgen/sim/clients/unary.h"
#include "loadgen/sim/clients/watching.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {
namespace {

constexpr Micros kStallsAfterHealing = 12 * kSecond;
constexpr std::uint64_t kStreamStalls = 3000;

// One machine with a client library: some requests at a time, some watch streams.
class Client {
 public:
  Client(ClientWorld& world, Shared& shared, Micros pause)
      : world_(world),
        shared_(shared),
        draw_(Rng(shared.options.seed, 1000 + static_cast<std::uint64_t>(world.index())),
              world.index()) {
    Rng& rng = world.rng();
    session_.in_session = rng.Chance(0.5);
    const std::uint64_t parallel = rng.Chance(0.7) ? 1 : 2 + rng.Below(2);
    for (std::uint64_t i = 0; i < parallel; ++i) {
      unary_.push_back(std::make_unique<UnaryLoop>(world, shared, session_, draw_,
                                                   pause * static_cast<Micros>(parallel)));
    }
    for (std::uint64_t i = rng.Below(3); i > 0; --i) {
      watching_.push_back(std::make_unique<WatchLoop>(world, shared, session_, draw_));
    }
  }

  void Start() {
    for (const auto& loop : unary_) loop->Start();
    for (const auto& loop : watching_) loop->Start();
  }
  void WriteMuch() { draw_.WriteMuch(); }
  void WatchAt(const WatchLoop::Place& place) {
    watching_.push_back(std::make_unique<WatchLoop>(world_, shared_, session_, draw_, place));
    watching_.back()->Start();
  }
  void OnPhase() {
    for (const auto& loop : watching_) loop->OnPhase();
  }
  bool Settled() const {
    return std::all_of(unary_.begin(), unary_.end(), [](const auto& l) { return l->idle(); }) &&
           std::all_of(watching_.begin(), watching_.end(),
                       [](const auto& l) { return l->Settled(); });
  }
  std::string Unsettled() const {
    for (const auto& loop : unary_) {
      if (!loop->idle()) return "pending: " + Describe(*loop->running());
    }
    for (const auto& loop : watching_) {
      if (std::string what = loop->Unsettled(); !what.empty()) return what;
    }
    return {};
  }

 private:
  ClientWorld& world_;
  Shared& shared_;
  Session session_;
  RequestDraw draw_;
  std::vector<std::unique_ptr<UnaryLoop>> unary_;
  std::vector<std::unique_ptr<WatchLoop>> watching_;
};

class Clients final : public Workload {
 public:
  explicit Clients(const WorkloadOptions& options) { shared_.options = options; }

  void Start(const std::vector<ClientWorld*>& worlds) override {
    const double each = shared_.options.operations_per_second / static_cast<double>(worlds.size());
    const auto pause = static_cast<Micros>(static_cast<double>(kSecond) / std::max(each, 0.01));
    for (ClientWorld* world : worlds) {
      if (worlds_.empty()) world_ = world;
      worlds_.push_back(world);
      clients_.push_back(std::make_unique<Client>(*world, shared_, pause));
    }
    for (const auto& client : clients_) client->Start();
  }

  void OnPhase(Phase phase) override {
    shared_.phase = phase;
    if (phase == Phase::kHealed) {
      shared_.history.healed_at = world_->TrueNow();
      if (shared_.options.stalled_watchers > 0) {
        world_->After(kStallsAfterHealing, [this] { BeginStalls(); });
      }
    }
    if (phase == Phase::kSettling) shared_.history.settling_at = world_->TrueNow();
    for (const auto& client : clients_) client->OnPhase();
  }

  bool Settled() const override {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->Settled(); });
  }
  std::string Unsettled() const override {
    for (const auto& client : clients_) {
      if (std::string what = client->Unsettled(); !what.empty()) return what;
    }
    return "nothing";
  }

  std::uint64_t Succeeded() const override { return shared_.succeeded; }
  const std::vector<Violation>& Violations() const override { return none_; }
  std::vector<Violation> Check(const Aftermath& aftermath) override {
    return CheckRun(shared_.history, aftermath, checked_);
  }
  void Count(Coverage& coverage) const override;
  std::uint64_t Digest() const override { return shared_.digest; }

 private:
  void BeginStalls();

  Shared shared_;
  Coverage checked_;
  ClientWorld* world_ = nullptr;
  std::vector<ClientWorld*> worlds_;
  std::vector<std::unique_ptr<Client>> clients_;
  const std::vector<Violation> none_;
};

// Pairs of streams of what is likely one subscription: one that nobody reads, and one beside it.
void Clients::BeginStalls() {
  Rng rng(shared_.options.seed, kStreamStalls);
  const std::vector<Endpoint>& endpoints = world_->endpoints();
  for (int i = 0; i < shared_.options.stalled_watchers; ++i) {
    auto endpoint = rng.Below(endpoints.size());
    for (int tries = 3; tries > 0 && endpoints[endpoint].tier != Tier::kProxy; --tries) {
      endpoint = rng.Below(endpoints.size());
    }
    for (const bool stalls : {true, false}) {
      clients_[rng.Below(clients_.size())]->WatchAt({static_cast<int>(endpoint), stalls});
    }
  }
  for (const auto& client : clients_) client->WriteMuch();
}

void Clients::Count(Coverage& coverage) const {
  coverage.Merge(checked_);
  coverage.Add("operations", shared_.succeeded);
  coverage.Add("reads-repeated", shared_.repeated_reads);
  coverage.Add("outcomes-unknown", shared_.unknown_outcomes);
  coverage.Add("reads-bounded", shared_.bounded_reads);
  coverage.Add("reads-in-session", shared_.session_reads);
  coverage.Add("refused-future", shared_.refused_future);
  coverage.Add("refused-compacted", shared_.refused_compacted);
  coverage.Add("watches-resumed", shared_.watches_resumed);
  coverage.Add("watches-compacted", shared_.watches_compacted);
  coverage.Add("watch-events", shared_.watch_events);
  coverage.Add("watch-progress", shared_.progress);
  coverage.Add("watch-fragments", shared_.fragments);
  coverage.Add("slow-readers", shared_.slow_readers);
}

}  // namespace

std::unique_ptr<Workload> MakeWorkload(const WorkloadOptions& options) {
  return std::make_unique<Clients>(options);
}

}  // namespace coppice::sim
