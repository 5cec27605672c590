#include "learner/find_cluster.h"

#include <fmt/format.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <utility>

#include "common/base/log.h"
#include "common/io/loop.h"

namespace coppice::learner {
namespace {

constexpr Micros kPause = 100 * kMillisecond;

}  // namespace

// Dials one upstream after the other until a Hello names a cluster.
class ClusterFinder::Impl final : public io::ConnectionHandler {
 public:
  Impl(node::Host& host, io::Loop& loop, const io::TransportOptions& transport,
       std::vector<api::Url> upstream, Micros patience)
      : upstream_(std::move(upstream)),
        loop_(loop),
        transport_(host.MakeTransport(loop, transport, nullptr)),
        give_up_(loop.now() + patience) {}
  ~Impl() override {
    if (timer_ != 0) loop_.Cancel(timer_);
  }

  void Start(Done done) {
    done_ = std::move(done);
    Next();
  }

  void OnOpen(io::Connection& connection) override {
    found_ = connection.peer().cluster_id;
    connection.Close(MakeStatus(StatusCode::kCancelled, "only asked who is there"));
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& /*frame*/) override {}
  void OnClosed(io::Connection& /*connection*/, const Status& reason) override {
    if (found_ != 0) return done_(found_);
    Failed(reason);
  }

 private:
  void Next() {
    timer_ = 0;
    const api::Url& url = upstream_[next_++ % upstream_.size()];
    transport_->Dial(url.host, url.port, io::ConnectionClass::kRequest, *this,
                     [this](const io::DialFailure& failure) { Failed(failure.status); });
  }

  void Failed(const Status& status) {
    if (last_.ok()) COPPICE_LOG(kWarn, "waiting for an upstream: {}", MessageOf(status));
    last_ = status;
    if (loop_.Refresh() > give_up_) {
      return done_(
          MakeStatus(StatusCode::kUnavailable,
                     fmt::format("no --upstream told its cluster: {}. Give the peer address of a "
                                 "running voter or learner",
                                 MessageOf(last_))));
    }
    timer_ = loop_.RunAt(loop_.now() + kPause, [this] { Next(); });
  }

  const std::vector<api::Url> upstream_;
  io::Loop& loop_;
  const std::unique_ptr<io::Transport> transport_;
  const Time give_up_;
  Done done_;
  std::size_t next_ = 0;
  std::uint64_t found_ = 0;
  Status last_;
  io::Loop::TimerId timer_ = 0;
};

ClusterFinder::ClusterFinder(node::Host& host, io::Loop& loop,
                             const io::TransportOptions& transport, std::vector<api::Url> upstream,
                             Micros patience)
    : impl_(std::make_unique<Impl>(host, loop, transport, std::move(upstream), patience)) {}

ClusterFinder::~ClusterFinder() = default;

void ClusterFinder::Start(Done done) {
  impl_->Start(std::move(done));
}

StatusOr<std::uint64_t> FindCluster(node::Host& host, const io::TransportOptions& transport,
                                    const std::vector<api::Url>& upstream) {
  const std::unique_ptr<io::Loop> loop = host.MakeLoop("find");
  ClusterFinder finder(host, *loop, transport, upstream);
  std::optional<StatusOr<std::uint64_t>> found;
  boost::asio::signal_set signals(loop->context(), SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    COPPICE_LOG(kInfo, "signal {}: stopping", number);
    found = MakeStatus(StatusCode::kCancelled, "stopped before an upstream was found");
    loop->Stop();
  });
  loop->Post([&] {
    finder.Start([&](StatusOr<std::uint64_t> cluster_id) {
      found = std::move(cluster_id);
      loop->Stop();
    });
  });
  loop->Run();
  return *std::move(found);
}

}  // namespace coppice::learner
