#include "loadgen/sim/grpc_server.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/coding.h"

namespace coppice::sim {

void PutItem(std::string& out, ItemKind kind, std::uint32_t call, std::string_view payload) {
  PutLe(out, static_cast<std::uint32_t>(5 + payload.size()));
  out.push_back(static_cast<char>(kind));
  PutLe(out, call);
  out.append(payload);
}

bool TakeItem(std::string_view& bytes, Item& item) {
  if (bytes.empty()) return false;
  const auto size = GetLe<std::uint32_t>(bytes.data());
  item.kind = static_cast<ItemKind>(bytes[4]);
  item.call = GetLe<std::uint32_t>(bytes.data() + 5);
  item.payload = bytes.substr(9, size - 5);
  bytes.remove_prefix(4 + size);
  return true;
}

void PutText(std::string& out, std::string_view text) {
  PutLe(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

std::string_view TakeText(std::string_view& bytes) {
  const auto size = GetLe<std::uint32_t>(bytes.data());
  const std::string_view text = bytes.substr(4, size);
  bytes.remove_prefix(4 + size);
  return text;
}

// One call as the process sees it. Owned by its channel until it is over.
class GrpcPort::ServerCall final : public rpc::Call {
 public:
  ServerCall(Channel& channel, std::uint32_t number, std::string_view headers);

  rpc::CallId id() const override { return {number_, 1}; }
  const rpc::Metadata& metadata() const override { return metadata_; }
  Time deadline() const override { return due_; }
  int listener() const override { return 0; }
  void Write(std::span<const std::string_view> pieces) override;
  void BeginParts(std::size_t total) override;
  void AppendPart(std::string_view part) override;
  void Finish(const Status& status,
              std::span<const std::pair<std::string_view, std::string_view>> trailers) override;
  std::size_t unsent_bytes() const override { return out_.size(); }

  void Message(std::string_view message);
  void HalfClose();
  void Credit(std::size_t bytes);
  void Flush();  // at the end of a turn
  void Expire();
  // The handler's last use.
  void Over();

 private:
  friend class Channel;
  Channel& channel_;
  const std::uint32_t number_;
  const std::string headers_;
  std::string path_;
  rpc::Metadata metadata_;
  const rpc::MethodSpec* method_ = nullptr;
  Time due_ = kNever;
  io::Loop::TimerId timer_ = 0;
  std::string request_;  // of a unary call
  std::string out_;
  std::size_t window_ = kStreamWindow;
  bool above_low_ = false;
  bool full_ = false;  // of a watch: no more is given to it
  bool heard_ = false;
  bool finished_ = false;
  bool end_sent_ = false;
  std::string end_;
};

// One connection of a client. Thread: its loop's, but for SocketHandler.
class GrpcPort::Channel final : public SocketHandler,
                                private io::TurnTask,
                                public std::enable_shared_from_this<Channel> {
 public:
  Channel(GrpcPort& port, const Target& target, std::uint64_t flow)
      : port_(port), target_(target), flow_(flow) {}
  ~Channel() override {
    if (target_.slot->alive()) target_.slot->loop().Forget(*this);
  }

  io::Loop& loop() { return target_.slot->loop(); }
  const rpc::MethodSpec* FindMethod(std::string_view path) const {
    for (const rpc::MethodSpec& method : *target_.methods) {
      if (method.path == path) return &method;
    }
    return nullptr;
  }
  void WantFlush() { loop().Wake(*this, io::Loop::Phase::kFlush); }
  void Put(ItemKind kind, std::uint32_t call, std::string_view payload = {}) {
    PutItem(out_, kind, call, payload);
    WantFlush();
  }
  // The call's handler has finished it: it hears of the end in a later task.
  void EndLater(std::uint32_t number) {
    loop().Post([self = shared_from_this(), number] { self->End(number); });
  }
  ServerCall* Find(std::uint32_t number) {
    const auto at = calls_.find(number);
    return at == calls_.end() ? nullptr : at->second.get();
  }

  // --- SocketHandler
  void OnBytes(std::string bytes) override {
    target_.slot->Deliver([self = shared_from_this(), bytes = std::move(bytes)] {
      std::string_view left = bytes;
      Item item;
      while (TakeItem(left, item)) self->Handle(item);
    });
  }
  void OnClosed() override {
    target_.slot->Deliver([self = shared_from_this()] { self->Closed(); });
  }
  void OnTaken() override {}

 private:
  friend class GrpcPort;

  void Handle(const Item& item) {
    if (item.kind == ItemKind::kPing) return Put(ItemKind::kPong, 0);
    if (item.kind == ItemKind::kOpen) return Open(item);
    ServerCall* const call = Find(item.call);
    if (call == nullptr) return;
    switch (item.kind) {
      case ItemKind::kMessage:
        return call->Message(item.payload);
      case ItemKind::kHalfClose:
        return call->HalfClose();
      case ItemKind::kCredit:
        return call->Credit(GetLe<std::uint32_t>(item.payload.data()));
      default:
        return End(item.call);  // kCancel
    }
  }
  void Open(const Item& item) {
    auto call = std::make_unique<ServerCall>(*this, item.call, item.payload);
    ServerCall& opened = *call;
    calls_.emplace(item.call, std::move(call));
    opened.method_ = FindMethod(opened.path_);
    if (opened.method_ == nullptr || opened.method_->handler == nullptr) {
      return opened.Finish(MakeStatus(StatusCode::kUnimplemented, "unknown method"), {});
    }
    if (opened.due_ != kNever) {
      opened.timer_ = loop().RunAt(opened.due_, [this, number = item.call] {
        if (ServerCall* late = Find(number)) late->Expire();
      });
    }
    if (opened.method_->client_streams || opened.method_->server_streams) {
      opened.heard_ = true;
      opened.method_->handler->OnStart(opened);
    }
  }
  void End(std::uint32_t number) {
    const auto at = calls_.find(number);
    if (at == calls_.end()) return;
    const std::unique_ptr<ServerCall> call = std::move(at->second);
    // What it said last goes out although it is over.
    call->Flush();
    calls_.erase(at);
    call->Over();
  }
  void Closed() {
    closed_ = true;
    while (!calls_.empty()) End(calls_.begin()->first);
    port_.channels_.erase(flow_);
  }
  void OnTurn(Time /*now*/) override {
    for (auto& [number, call] : calls_) call->Flush();
    Process& process = target_.slot->process();
    if (out_.empty() || closed_ || process.dead()) return;
    process.fabric().network.Send(flow_, *this, std::exchange(out_, {}), process.Depart());
  }

  GrpcPort& port_;
  const Target target_;
  const std::uint64_t flow_;
  bool closed_ = false;
  std::string out_;
  std::map<std::uint32_t, std::unique_ptr<ServerCall>> calls_;
};

GrpcPort::ServerCall::ServerCall(Channel& channel, std::uint32_t number, std::string_view headers)
    : channel_(channel), number_(number), headers_(headers) {
  std::string_view left = headers_;
  path_ = TakeText(left);
  metadata_.consistency = TakeText(left);
  metadata_.max_staleness = TakeText(left);
  metadata_.min_revision = TakeText(left);
  metadata_.token = TakeText(left);
  metadata_.has_leader = left[0] != 0;
  const auto timeout = static_cast<Micros>(GetLe<std::uint64_t>(left.data() + 1));
  metadata_.any_coppice = !metadata_.consistency.empty() || !metadata_.max_staleness.empty() ||
                          !metadata_.min_revision.empty();
  if (timeout > 0) due_ = channel_.loop().wake_time() + timeout;
}

void GrpcPort::ServerCall::Message(std::string_view message) {
  if (finished_ || method_ == nullptr) return;
  if (method_->client_streams) return method_->handler->OnMessage(*this, message);
  if (std::exchange(heard_, true) && !method_->server_streams) return;
  request_ = message;
  method_->handler->OnMessage(*this, request_);
}

void GrpcPort::ServerCall::HalfClose() {
  if (!finished_ && method_ != nullptr && method_->client_streams) {
    method_->handler->OnHalfClose(*this);
  }
}

void GrpcPort::ServerCall::Write(std::span<const std::string_view> pieces) {
  if (finished_) return;
  std::size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  BeginParts(size);
  for (const std::string_view piece : pieces) out_.append(piece);
}

void GrpcPort::ServerCall::BeginParts(std::size_t total) {
  PutLe(out_, static_cast<std::uint32_t>(total));
  channel_.WantFlush();
}

void GrpcPort::ServerCall::AppendPart(std::string_view part) {
  out_.append(part);
  channel_.WantFlush();
}

void GrpcPort::ServerCall::Finish(
    const Status& status, std::span<const std::pair<std::string_view, std::string_view>> trailers) {
  if (std::exchange(finished_, true)) return;
  if (!status.ok()) out_.clear();
  end_.push_back(static_cast<char>(status.code()));
  PutText(end_, MessageOf(status));
  for (const auto& [name, value] : trailers) {
    PutText(end_, name);
    PutText(end_, value);
  }
  channel_.WantFlush();
}

void GrpcPort::ServerCall::Flush() {
  const std::size_t now = std::min(out_.size(), window_);
  if (now > 0) {
    channel_.Put(ItemKind::kData, number_, std::string_view(out_).substr(0, now));
    out_.erase(0, now);
    window_ -= now;
  }
  if (out_.size() > kLowWater) above_low_ = true;
  const bool watch = method_ != nullptr && method_->client_streams && method_->server_streams;
  const bool full = watch && out_.size() >= kHighWater;
  if (full && !full_) channel_.target_.slot->process().fabric().coverage.Add("watch-streams-full");
  full_ = full;
  if (finished_ && out_.empty() && !std::exchange(end_sent_, true)) {
    channel_.Put(ItemKind::kEnd, number_, end_);
    channel_.EndLater(number_);
  }
}

void GrpcPort::ServerCall::Credit(std::size_t bytes) {
  window_ += bytes;
  Flush();
  if (!above_low_ || out_.size() > kLowWater || finished_) return;
  above_low_ = false;
  method_->handler->OnDrained(*this);
}

void GrpcPort::ServerCall::Expire() {
  timer_ = 0;
  Finish(MakeStatus(StatusCode::kDeadlineExceeded, "deadline exceeded"), {});
}

void GrpcPort::ServerCall::Over() {
  finished_ = true;
  if (timer_ != 0) channel_.loop().Cancel(timer_);
  if (heard_) method_->handler->OnDone(*this);
}

GrpcPort::GrpcPort(Process& process, std::uint16_t port, std::vector<Target> targets)
    : targets_(std::move(targets)) {
  process.fabric().network.Listen(process.host_id(), port,
                                  [this](std::uint64_t flow) -> SocketHandler* {
                                    const Target& target = targets_[next_++ % targets_.size()];
                                    auto channel = std::make_shared<Channel>(*this, target, flow);
                                    channels_.emplace(flow, channel);
                                    return channel.get();
                                  });
}

// The process is at its end: its handlers are told, while they live.
GrpcPort::~GrpcPort() {
  const auto channels = std::move(channels_);
  for (const auto& [flow, channel] : channels) {
    channel->closed_ = true;
    while (!channel->calls_.empty()) channel->End(channel->calls_.begin()->first);
  }
}

}  // namespace coppice::sim
