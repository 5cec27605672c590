#include "voter/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace coppice::voter {
namespace {

constexpr Micros kAskAgainMin = 10 * kMillisecond;
constexpr Micros kAskAgainMax = 200 * kMillisecond;
constexpr Micros kPatience = kSecond;  // before it says whom it waits for
constexpr Micros kSayAgain = 30 * kSecond;

}  // namespace

// The connection to another voter.
class Admission::Asking final : public io::ConnectionHandler {
 public:
  Asking(Admission& admission, PeerAddress peer) : admission_(admission), peer_(std::move(peer)) {}
  ~Asking() override { *alive_ = false; }

  void Dial() {
    timer_ = 0;
    admission_.transport_.Dial(peer_.host, peer_.port, io::ConnectionClass::kRaft, *this,
                               [this, alive = alive_](const io::DialFailure& failure) {
                                 if (*alive) Failed(failure.status);
                               });
  }
  void Stop() {
    stopped_ = true;
    if (timer_ != 0) admission_.loop_.Cancel(std::exchange(timer_, 0));
  }

  void OnOpen(io::Connection& connection) override {
    if (connection.peer().node_id == peer_.id.value()) return;
    connection.Close(MakeStatus(StatusCode::kFailedPrecondition,
                                fmt::format("{}:{} is another node, {:x}", peer_.host, peer_.port,
                                            connection.peer().node_id)));
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& frame) override {
    const auto known_as = ReadKnownAs(frame);
    if (!known_as || stopped_) return;
    knows_ = *known_as == admission_.directories_.own();
    admission_.Knows(peer_, *known_as);
  }
  void OnClosed(io::Connection& /*connection*/, const Status& reason) override { Failed(reason); }

  bool knows() const { return knows_; }
  std::string Missing() const {
    return last_.empty() ? peer_.name : fmt::format("{} ({})", peer_.name, last_);
  }

 private:
  void Failed(const Status& status) {
    last_ = MessageOf(status);
    if (stopped_ || knows_) return;
    io::Loop& loop = admission_.loop_;
    const auto jitter = static_cast<Micros>(admission_.rng_.Below(kAskAgainMin));
    timer_ = loop.RunAt(loop.now() + backoff_ + jitter, [this] { Dial(); });
    backoff_ = std::min(backoff_ * 2, kAskAgainMax);
  }

  Admission& admission_;
  const PeerAddress peer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool stopped_ = false;
  bool knows_ = false;
  std::string last_;  // why there is no answer
  Micros backoff_ = kAskAgainMin;
  io::Loop::TimerId timer_ = 0;
};

// The connections that other voters dial.
class Admission::Answering final : public io::ConnectionHandler {
 public:
  explicit Answering(Admission& admission) : admission_(admission) {}
  void OnOpen(io::Connection& connection) override {
    // One that was refused is about to end: it remembers nobody any more.
    if (admission_.refused_) {
      return connection.Close(
          MakeStatus(StatusCode::kUnavailable, "this voter has been refused and ends"));
    }
    Greet(admission_.directories_, connection);
    if (!admission_.directories_.in_doubt()) return;
    admission_.End(MakeStatus(StatusCode::kInternal,
                              "the file `directories` could not be synced: mend the disk, then "
                              "start this voter again"));
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& /*frame*/) override {}
  void OnClosed(io::Connection& /*connection*/, const Status& /*reason*/) override {}

 private:
  Admission& admission_;
};

// Learners and proxies.
class Admission::Waiting final : public io::ConnectionHandler {
 public:
  void OnOpen(io::Connection& /*connection*/) override {}
  void OnFrame(io::Connection& /*connection*/, const io::Frame& /*frame*/) override {}
  void OnClosed(io::Connection& /*connection*/, const Status& /*reason*/) override {}
};

Admission::Admission(io::Loop& loop, io::Transport& transport, Directories& directories,
                     const Cluster& cluster, Rng rng)
    : loop_(loop),
      transport_(transport),
      directories_(directories),
      rng_(rng),
      wanted_(
          static_cast<std::size_t>(Directories::Enough(static_cast<int>(cluster.voters.size())))),
      answering_(std::make_unique<Answering>(*this)),
      waiting_(std::make_unique<Waiting>()) {
  for (PeerAddress& peer : cluster.Others()) {
    others_.push_back(peer.id);
    asking_.push_back(std::make_unique<Asking>(*this, std::move(peer)));
  }
}

Admission::~Admission() {
  if (timer_ != 0) loop_.Cancel(timer_);
  for (const auto& asking : asking_) asking->Stop();
}

void Admission::Start(Done done) {
  done_ = std::move(done);
  for (const auto& asking : asking_) asking->Dial();
  timer_ = loop_.RunAt(loop_.now() + kPatience, [this] { SayWhoIsMissing(); });
}

io::ConnectionHandler* Admission::Accept(const io::Hello& peer) {
  if (peer.connection_class != io::ConnectionClass::kRaft) return waiting_.get();
  const bool known =
      std::find(others_.begin(), others_.end(), NodeId(peer.node_id)) != others_.end();
  return known ? answering_.get() : nullptr;
}

void Admission::Knows(const PeerAddress& peer, std::uint64_t known_as) {
  if (known_as != directories_.own()) {
    return End(MakeStatus(
        StatusCode::kFailedPrecondition,
        fmt::format("voter {} knows this voter by another data directory, with which it has taken "
                    "part in this cluster: with a new one it would have forgotten its votes and "
                    "what it acknowledged. Start it with the old directory; if that is lost, leave "
                    "this voter off (operations.md, \"A voter's disk is lost\")",
                    peer.name)));
  }
  const auto count = std::count_if(asking_.begin(), asking_.end(),
                                   [](const auto& asking) { return asking->knows(); });
  if (static_cast<std::size_t>(count) >= wanted_) End(OkStatus());
}

void Admission::End(const Status& status) {
  if (std::exchange(over_, true)) return;
  refused_ = !status.ok();
  for (const auto& asking : asking_) asking->Stop();
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
  done_(status);
}

void Admission::SayWhoIsMissing() {
  std::string names;
  std::size_t count = 0;
  for (const auto& asking : asking_) {
    if (asking->knows()) {
      ++count;
      continue;
    }
    if (!names.empty()) names += ", ";
    names += asking->Missing();
  }
  COPPICE_LOG(kWarn,
              "this voter's first start waits until {} more of the other voters have answered: {}",
              wanted_ - count, names);
  timer_ = loop_.RunAt(loop_.now() + kSayAgain, [this] { SayWhoIsMissing(); });
}

}  // namespace coppice::voter
