#include "common/rpc/server.h"

#include <algorithm>
#include <atomic>

#include "common/base/check.h"
#include "common/rpc/connection.h"
#include "common/rpc/server_core.h"

namespace coppice::rpc {
namespace {

constexpr Micros kTickMin = 10 * kMillisecond;
constexpr Micros kTickMax = 10 * kSecond;
// How long a client has to answer the PING that precedes the final GOAWAY.
constexpr Micros kDrainRound = 200 * kMillisecond;
constexpr std::size_t kGone = SIZE_MAX;

}  // namespace

class Server::Impl final : public ServerConnection::Owner {
 public:
  Impl(io::Loop& loop, const ServerOptions& options, std::vector<MethodSpec> methods,
       HttpHandler http)
      : core_(loop, options, std::move(methods), std::move(http)) {}

  ~Impl() override {
    core_.loop.Cancel(tick_);
    core_.loop.Cancel(drain_round_);
    core_.loop.Cancel(drain_grace_);
    *alive_ = false;
    connections_.clear();
  }

  void Expect() { count_.fetch_add(1, std::memory_order_relaxed); }

  void AdoptExpected(boost::asio::ip::tcp::socket socket, int listener) {
    if (draining_) {
      count_.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    auto connection = std::make_unique<ServerConnection>(core_, *this, std::move(socket), listener);
    connection->index = connections_.size();
    connections_.push_back(std::move(connection));
    connections_.back()->Start();
    if (!ticking_) ScheduleTick();
  }

  ServerCore& core() { return core_; }
  std::size_t connections() const { return count_.load(std::memory_order_relaxed); }

  void Drain(Micros grace, std::function<void()> done) {
    draining_ = true;
    drained_ = std::move(done);
    DrainAll();
    drain_round_ = core_.loop.RunAt(core_.loop.now() + kDrainRound, [this] { DrainAll(); });
    drain_grace_ = core_.loop.RunAt(core_.loop.now() + grace, [this] {
      while (!connections_.empty()) OnGone(*connections_.back());
    });
    ReportDrained();
  }

 private:
  void OnGone(ServerConnection& connection) override {
    const std::size_t index = std::exchange(connection.index, kGone);
    if (index == kGone) return;
    // The connection may be in the middle of its own call: it dies in the next turn.
    dying_.push_back(std::move(connections_[index]));
    if (index + 1 < connections_.size()) {
      connections_[index] = std::move(connections_.back());
      connections_[index]->index = index;
    }
    connections_.pop_back();
    count_.fetch_sub(1, std::memory_order_relaxed);
    if (dying_.size() == 1) {
      core_.loop.Post([this, alive = alive_] {
        if (*alive) BuryDead();
      });
    }
  }

  void BuryDead() {
    std::vector<std::unique_ptr<ServerConnection>> dead;
    dead.swap(dying_);
    dead.clear();
    ReportDrained();
  }

  void ReportDrained() {
    if (!draining_ || !connections_.empty() || !dying_.empty() || !drained_) return;
    core_.loop.Cancel(drain_grace_);
    core_.loop.Post(std::exchange(drained_, nullptr));
  }

  void DrainAll() {
    for (const auto& connection : connections_) connection->Drain();
  }

  void ScheduleTick() {
    ticking_ = true;
    const ServerOptions& options = core_.options;
    const Micros every = std::clamp(
        std::min(options.keepalive_interval, options.keepalive_timeout) / 2, kTickMin, kTickMax);
    tick_ = core_.loop.RunAt(core_.loop.now() + every, [this] {
      ticking_ = false;
      const Time now = core_.loop.now();
      // From the back: one that goes is replaced by one that was looked at.
      for (std::size_t i = connections_.size(); i-- > 0;) connections_[i]->Tick(now);
      if (!connections_.empty()) ScheduleTick();
    });
  }

  ServerCore core_;
  std::atomic<std::size_t> count_{0};
  std::vector<std::unique_ptr<ServerConnection>> connections_;
  std::vector<std::unique_ptr<ServerConnection>> dying_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool ticking_ = false;
  io::Loop::TimerId tick_ = 0;
  bool draining_ = false;
  std::function<void()> drained_;
  io::Loop::TimerId drain_round_ = 0;
  io::Loop::TimerId drain_grace_ = 0;
};

Server::Server(io::Loop& loop, const ServerOptions& options, std::vector<MethodSpec> methods,
               HttpHandler http)
    : impl_(std::make_unique<Impl>(loop, options, std::move(methods), std::move(http))) {}

Server::~Server() = default;

void Server::Adopt(boost::asio::ip::tcp::socket socket, int listener) {
  impl_->Expect();
  impl_->AdoptExpected(std::move(socket), listener);
}

void Server::Expect() {
  impl_->Expect();
}

void Server::AdoptExpected(boost::asio::ip::tcp::socket socket, int listener) {
  impl_->AdoptExpected(std::move(socket), listener);
}

Call* Server::Find(CallId id) {
  return impl_->core().Find(id);
}

std::size_t Server::connections() const {
  return impl_->connections();
}

std::size_t Server::calls() const {
  return impl_->core().calls();
}

void Server::Drain(Micros grace, std::function<void()> done) {
  impl_->Drain(grace, std::move(done));
}

}  // namespace coppice::rpc
