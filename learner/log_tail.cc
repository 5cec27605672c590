#include "learner/log_tail.h"

#include <utility>

#include "common/api/urls.h"
#include "common/base/log.h"
#include "common/replica/replica_wire.h"

namespace coppice::learner {

using replica::ReadGate;
using replica::TailSink;

LogTail::LogTail(io::Loop& loop, io::Transport& transport, const replica::TailSinkConfig& config,
                 Hooks hooks, Rng rng)
    : loop_(loop),
      transport_(transport),
      sink_(config, Rng(rng.Next())),
      hooks_(std::move(hooks)),
      rng_(rng) {}

LogTail::~LogTail() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void LogTail::Input(TailSink::Input input) {
  sink_.Step(loop_.now(), input, out_);
  Perform();
}

void LogTail::Perform() {
  TailSink::Output out = std::exchange(out_, {});
  for (const std::string& note : out.notes) COPPICE_LOG(kInfo, "log tail: {}", note);
  for (const std::uint64_t link : out.disconnect) {
    if (const auto it = links_.find(link); it != links_.end()) {
      dropped_.push_back(std::move(it->second));
      links_.erase(it);
    }
  }
  if (out.upstream) {
    current_ = *out.upstream;
    hooks_.gate(ReadGate::UpstreamDown{});
    if (current_ != 0) hooks_.gate(ReadGate::UpstreamUp{});
    hooks_.upstream_changed(sink_.cluster_id());
  }
  for (const TailSink::Connect& connect : out.connect) Connect(connect);
  for (const TailSink::SendSubscribe& send : out.subscribe) {
    Send(send.link, io::FrameType::kTailSubscribe, replica::EncodeTailSubscribe(send.message));
  }
  for (const TailSink::SendCredit& send : out.credit) {
    Send(send.link, io::FrameType::kCredit, replica::EncodeTailCredit(send.bytes));
  }
  if (out.path) hooks_.path(out.path->nodes, out.path->rooted);
  if (!out.apply.empty()) hooks_.apply(std::move(out.apply));
  if (out.need_snapshot) hooks_.need_snapshot();
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void LogTail::Connect(const TailSink::Connect& connect) {
  const std::uint64_t id = connect.link;
  const auto url = api::ParseUrl("upstream", connect.address);
  if (!url.ok()) {
    loop_.Post([this, id] { Input(TailSink::ConnectionLost{id}); });
    return;
  }
  node::Link::Options options;
  options.host = url->host;
  options.port = url->port;
  options.connection_class = io::ConnectionClass::kTail;
  options.redial = false;
  node::Link::Hooks hooks;
  hooks.up = [this, id](io::Connection&) {
    complaint_.clear();
    Input(TailSink::ConnectionUp{id});
  };
  hooks.frame = [this, id](const io::Frame& frame) { OnFrame(id, frame); };
  hooks.down = [this, id](const Status&) { Input(TailSink::ConnectionLost{id}); };
  hooks.failed = [this, id](const Status& reason) {
    Complain(MessageOf(reason));
    Input(TailSink::ConnectionLost{id});
  };
  auto link =
      std::make_unique<node::Link>(loop_, transport_, options, std::move(hooks), Rng(rng_.Next()));
  node::Link& started = *link;
  links_.emplace(id, std::move(link));
  started.Start();
}

std::string LogTail::local_host() const {
  const auto it = links_.find(current_);
  const io::Connection* const connection = it == links_.end() ? nullptr : it->second->connection();
  return connection == nullptr ? std::string() : connection->local_host();
}

// Dials are repeated for as long as it takes: a reason is said once.
void LogTail::Complain(std::string_view reason) {
  if (complaint_ == reason) return;
  complaint_ = reason;
  COPPICE_LOG(kWarn, "log tail: no upstream there: {}", reason);
}

void LogTail::OnFrame(std::uint64_t link, const io::Frame& frame) {
  if (Handle(link, frame)) return;
  COPPICE_LOG(kError, "the upstream {} sent a malformed frame of type {}", sink_.upstream_address(),
              static_cast<int>(frame.type));
  if (const auto it = links_.find(link); it != links_.end()) {
    it->second->Close(MakeStatus(StatusCode::kDataLoss, "malformed tail frame"));
  }
}

bool LogTail::Handle(std::uint64_t link, const io::Frame& frame) {
  switch (frame.type) {
    case io::FrameType::kTailState: {
      TailSink::State state{link, {}};
      if (!replica::DecodeTailState(frame.payload, state.message)) return false;
      Input(std::move(state));
      return true;
    }
    case io::FrameType::kTailEntries: {
      TailSink::Entries entries{link, {}};
      if (!replica::DecodeTailEntries(frame.payload, entries.message)) return false;
      Input(std::move(entries));
      return true;
    }
    case io::FrameType::kTailBehind: {
      TailSink::Behind behind{link, {}};
      if (!replica::DecodeTailBehind(frame.payload, behind.message)) return false;
      Input(std::move(behind));
      return true;
    }
    case io::FrameType::kTailRefused: {
      TailSink::Refused refused{link, {}};
      if (!replica::DecodeTailRefused(frame.payload, refused.message)) return false;
      Input(std::move(refused));
      return true;
    }
    case io::FrameType::kReadIndexReply: {
      replica::ReadIndexReply reply;
      if (!replica::DecodeReadIndexReply(frame.payload, reply)) return false;
      if (link == current_) OnReply(reply);
      return true;
    }
    default:
      return true;  // a newer upstream's: not for us
  }
}

void LogTail::OnReply(const replica::ReadIndexReply& reply) {
  if (reply.ok) return hooks_.gate(ReadGate::UpstreamAnswer{reply.id, reply.index});
  hooks_.gate(ReadGate::UpstreamRefused{reply.id});
}

void LogTail::Send(std::uint64_t link, io::FrameType type, std::string_view payload) {
  const auto it = links_.find(link);
  if (it == links_.end() || it->second->connection() == nullptr) return;
  io::Frame frame;
  frame.type = type;
  frame.payload = payload;
  it->second->connection()->Send(frame);
}

void LogTail::SendRound(std::uint64_t id, bool relaxed) {
  Send(current_, io::FrameType::kReadIndex, replica::EncodeReadIndex({id, relaxed}));
}

void LogTail::SendRenewals(const replica::RenewBundle& bundle) {
  Send(current_, io::FrameType::kRegistryRenew, replica::EncodeRenewBundle(bundle));
}

void LogTail::OnTurn(Time now) {
  dropped_.clear();
  if (now >= sink_.NextDeadline()) Input(TailSink::Timer{});
  ArmTimer();
}

void LogTail::ArmTimer() {
  const Time next = sink_.NextDeadline();
  if (next >= timer_at_) return;
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

}  // namespace coppice::learner
