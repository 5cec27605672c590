#include "loadgen/sim/client.h"

#include <utility>

#include "common/base/coding.h"
#include "loadgen/sim/grpc_server.h"

namespace coppice::sim {
namespace {

constexpr Micros kConnectTimeout = 2 * kSecond;
constexpr Micros kKeepAlive = 5 * kSecond;
constexpr Micros kKeepAliveTick = kSecond;
constexpr int kPingsMax = 3;  // unanswered, one a tick

}  // namespace

// A connection to one endpoint and the calls on it.
class SimClient::Channel final : public SocketHandler,
                                 public std::enable_shared_from_this<Channel> {
 public:
  Channel(SimClient& client, int endpoint) : client_(client), endpoint_(endpoint) {}
  ~Channel() override { Disconnect(); }

  void Connect() {
    const Address& address = client_.addresses_[static_cast<std::size_t>(endpoint_)];
    flow_ = network().Dial(client_.options_.host, address.host, address.port, *this);
    client_.After(kConnectTimeout, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self && !self->connected_) self->Lost("connection timed out");
    });
  }
  std::uint32_t Add(ClientCall& call) {
    calls_.emplace(++last_call_, &call);
    return last_call_;
  }
  // What it said and was not sent yet never is.
  void Remove(std::uint32_t number) {
    calls_.erase(number);
    waiting_.erase(number);
  }
  void Put(ItemKind kind, std::uint32_t call, std::string_view payload = {}) {
    if (lost_) return;
    if (!connected_) return PutItem(waiting_[call], kind, call, payload);
    std::string bytes;
    PutItem(bytes, kind, call, payload);
    network().Send(flow_, *this, std::move(bytes), now());
  }
  bool lost() const { return lost_; }
  bool connected() const { return connected_; }
  Time heard_at() const { return heard_at_; }

  void OnConnected() override {
    connected_ = true;
    heard_at_ = now();
    for (auto& [number, bytes] : std::exchange(waiting_, {})) {
      network().Send(flow_, *this, std::move(bytes), now());
    }
    KeepAlive();
  }
  void OnRefused() override { Lost("connection refused"); }
  void OnClosed() override { Lost("connection reset"); }
  void OnBytes(std::string bytes) override;

 private:
  Network& network() { return client_.fabric_.network; }
  Time now() const { return client_.fabric_.scheduler.now(); }
  void Lost(std::string_view why);
  void Disconnect() {
    if (flow_ != 0) network().Close(std::exchange(flow_, 0), *this, now());
  }
  void KeepAlive() {
    if (lost_) return;
    if (!calls_.empty() && now() - heard_at_ >= kKeepAlive) {
      if (pings_ == kPingsMax) return Lost("keepalive timed out");
      ++pings_;
      Put(ItemKind::kPing, 0);
    }
    client_.After(kKeepAliveTick, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->KeepAlive();
    });
  }

  SimClient& client_;
  const int endpoint_;
  std::uint64_t flow_ = 0;
  bool connected_ = false;
  bool lost_ = false;
  Time heard_at_ = 0;
  int pings_ = 0;                                 // since then
  std::map<std::uint32_t, std::string> waiting_;  // by call: for the connection
  std::uint32_t last_call_ = 0;
  std::map<std::uint32_t, ClientCall*> calls_;
};

class SimClient::ClientCall final : public Call {
 public:
  ClientCall(std::shared_ptr<Channel> channel, SimClient& client, const CallOptions& options,
             CallEvents& events)
      : channel_(std::move(channel)), client_(client), events_(events) {
    number_ = channel_->Add(*this);
    std::string headers;
    PutText(headers, options.path);
    PutText(headers, options.consistency);
    PutText(headers, options.max_staleness);
    PutText(headers, options.min_revision);
    PutText(headers, options.token);
    headers.push_back(options.has_leader ? 1 : 0);
    PutLe(headers, static_cast<std::uint64_t>(options.timeout));
    channel_->Put(ItemKind::kOpen, number_, headers);
    if (options.timeout > 0) {
      timer_ = client_.After(options.timeout, [this] {
        timer_ = 0;
        channel_->Put(ItemKind::kCancel, number_);
        End({MakeStatus(StatusCode::kDeadlineExceeded, "deadline exceeded"),
             {},
             !channel_->connected(),
             channel_->heard_at()});
      });
    }
  }
  ~ClientCall() override {
    *alive_ = false;
    if (timer_ != 0) client_.Cancel(timer_);
    if (over_) return;
    channel_->Put(ItemKind::kCancel, number_);
    channel_->Remove(number_);
  }

  void Send(std::string message) override {
    if (!over_) channel_->Put(ItemKind::kMessage, number_, message);
  }
  void HalfClose() override {
    if (!over_) channel_->Put(ItemKind::kHalfClose, number_);
  }
  void SetReading(bool reading) override {
    reading_ = reading;
    if (!reading_) return;
    Read(std::exchange(unread_, {}));
  }

  void Data(std::string_view bytes) {
    if (reading_) return Read(bytes);
    unread_.append(bytes);
  }
  void Ended(std::string_view payload) {
    CallEnd end;
    const auto code = static_cast<StatusCode>(payload[0]);
    payload.remove_prefix(1);
    const std::string_view message = TakeText(payload);
    if (code != StatusCode::kOk) end.status = MakeStatus(code, message);
    while (!payload.empty()) {
      const std::string name(TakeText(payload));
      end.trailers.emplace_back(name, TakeText(payload));
    }
    // What the client has not read yet it reads before the end.
    if (!reading_) {
      const std::shared_ptr<bool> alive = alive_;
      SetReading(true);
      if (!*alive) return;
    }
    End(end);
  }
  void End(const CallEnd& end) {
    if (std::exchange(over_, true)) return;
    channel_->Remove(number_);
    if (timer_ != 0) client_.Cancel(std::exchange(timer_, 0));
    events_.OnEnd(end);
  }

 private:
  void Read(std::string_view bytes) {
    if (bytes.empty()) return;
    std::string credit;
    PutLe(credit, static_cast<std::uint32_t>(bytes.size()));
    channel_->Put(ItemKind::kCredit, number_, credit);
    in_.append(bytes);
    const std::shared_ptr<bool> alive = alive_;
    std::size_t at = 0;
    const std::string in = std::exchange(in_, {});
    while (in.size() - at >= 4) {
      const auto size = GetLe<std::uint32_t>(in.data() + at);
      if (in.size() - at - 4 < size) break;
      events_.OnMessage(std::string_view(in).substr(at + 4, size));
      if (!*alive) return;
      at += 4 + size;
    }
    in_ = in.substr(at);
  }

  const std::shared_ptr<Channel> channel_;
  SimClient& client_;
  CallEvents& events_;
  std::uint32_t number_ = 0;
  TimerId timer_ = 0;
  bool over_ = false;
  bool reading_ = true;
  std::string in_;
  std::string unread_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void SimClient::Channel::OnBytes(std::string bytes) {
  heard_at_ = now();
  pings_ = 0;
  const auto self = shared_from_this();
  std::string_view left = bytes;
  Item item;
  while (!lost_ && TakeItem(left, item)) {
    const auto call = calls_.find(item.call);
    if (call == calls_.end()) continue;
    if (item.kind == ItemKind::kData) call->second->Data(item.payload);
    if (item.kind == ItemKind::kEnd) call->second->Ended(item.payload);
  }
}

void SimClient::Channel::Lost(std::string_view why) {
  if (std::exchange(lost_, true)) return;
  const auto self = shared_from_this();
  Disconnect();
  if (const auto at = client_.channels_.find(endpoint_);
      at != client_.channels_.end() && at->second.get() == this) {
    client_.channels_.erase(at);
  }
  while (!calls_.empty()) {
    calls_.begin()->second->End({MakeStatus(StatusCode::kUnavailable, why),
                                 {},
                                 /*certainly_not_sent=*/!connected_,
                                 heard_at_});
  }
}

SimClient::SimClient(Fabric& fabric, const Options& options, const std::vector<Endpoint>& endpoints,
                     std::vector<Address> addresses)
    : fabric_(fabric),
      options_(options),
      clock_(fabric.scheduler, options.clock_start, options.clock_ppm),
      rng_(fabric.seed, 0xc11e0000 + static_cast<std::uint64_t>(options.index)),
      endpoints_(endpoints),
      addresses_(std::move(addresses)) {}

SimClient::~SimClient() {
  *alive_ = false;
}

ClientWorld::TimerId SimClient::After(Micros delay, std::function<void()> task) {
  const TimerId id = ++last_timer_;
  timers_.emplace(id, std::move(task));
  const Time when = clock_.TrueTimeOf(clock_.Now() + delay);
  fabric_.scheduler.At(when, [this, id, alive = alive_] {
    if (!*alive) return;
    const auto at = timers_.find(id);
    if (at == timers_.end()) return;
    const std::function<void()> run = std::move(at->second);
    timers_.erase(at);
    run();
  });
  return id;
}

std::unique_ptr<Call> SimClient::Open(int endpoint, const CallOptions& options,
                                      CallEvents& events) {
  std::shared_ptr<Channel>& channel = channels_[endpoint];
  if (channel == nullptr || channel->lost()) {
    channel = std::make_shared<Channel>(*this, endpoint);
    channel->Connect();
  }
  return std::make_unique<ClientCall>(channel, *this, options, events);
}

}  // namespace coppice::sim
