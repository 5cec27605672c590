#include "learner/find_cluster.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/log.h"
#include "common/io/asio_transport.h"
#include "common/io/loop.h"

namespace coppice::learner {
namespace {

constexpr Micros kPause = 100 * kMillisecond;

// Dials one upstream after the other until a Hello names a cluster.
class Finder final : public io::ConnectionHandler {
 public:
  Finder(const io::TransportOptions& transport, const std::vector<api::Url>& upstream,
         Micros patience)
      : upstream_(upstream),
        transport_(loop_, transport, nullptr),
        give_up_(loop_.now() + patience) {}

  StatusOr<std::uint64_t> Find() {
    loop_.Post([this] { Next(); });
    loop_.Run();
    if (found_ == 0) {
      return MakeStatus(
          StatusCode::kUnavailable,
          fmt::format("no --upstream told its cluster: {}. Give the peer address of a "
                      "running voter or learner",
                      MessageOf(last_)));
    }
    return found_;
  }

  void OnOpen(io::Connection& connection) override {
    found_ = connection.peer().cluster_id;
    connection.Close(MakeStatus(StatusCode::kCancelled, "only asked who is there"));
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& /*frame*/) override {}
  void OnClosed(io::Connection& /*connection*/, const Status& reason) override {
    if (found_ != 0) return loop_.Stop();
    Failed(reason);
  }

 private:
  void Next() {
    const api::Url& url = upstream_[next_++ % upstream_.size()];
    transport_.Dial(url.host, url.port, io::ConnectionClass::kRequest, *this,
                    [this](const io::DialFailure& failure) { Failed(failure.status); });
  }

  void Failed(const Status& status) {
    if (last_.ok()) COPPICE_LOG(kWarn, "waiting for an upstream: {}", MessageOf(status));
    last_ = status;
    if (loop_.Refresh() > give_up_) return loop_.Stop();
    loop_.RunAt(loop_.now() + kPause, [this] { Next(); });
  }

  const std::vector<api::Url>& upstream_;
  io::Loop loop_{"find"};
  io::AsioTransport transport_;
  const Time give_up_;
  std::size_t next_ = 0;
  std::uint64_t found_ = 0;
  Status last_;
};

}  // namespace

StatusOr<std::uint64_t> FindCluster(const io::TransportOptions& transport,
                                    const std::vector<api::Url>& upstream, Micros patience) {
  return Finder(transport, upstream, patience).Find();
}

}  // namespace coppice::learner
