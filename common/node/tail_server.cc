#include "common/node/tail_server.h"

#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/replica/replica_wire.h"

namespace coppice::node {

using replica::TailSource;

TailServer::TailServer(io::Loop& loop, const replica::TailSourceConfig& config)
    : loop_(loop), source_(config) {}

TailServer::~TailServer() {
  loop_.Forget(*this);
  if (timer_ != 0) loop_.Cancel(timer_);
}

void TailServer::Input(TailSource::Input input) {
  source_.Step(loop_.now(), input, out_);
  Perform();
}

void TailServer::OnOpen(io::Connection& connection) {
  connections_.emplace(connection.id(), &connection);
  Input(TailSource::Connected{connection.id()});
}

void TailServer::OnClosed(io::Connection& connection, const Status& /*reason*/) {
  connections_.erase(connection.id());
  Input(TailSource::Gone{connection.id()});
  if (hooks_.gone) hooks_.gone(connection.id());
}

void TailServer::OnFrame(io::Connection& connection, const io::Frame& frame) {
  if (Handle(connection, frame)) return;
  COPPICE_LOG(kError, "node {:x} sent a malformed tail frame of type {}: closing its connection",
              connection.peer().node_id, static_cast<int>(frame.type));
  connection.Close(MakeStatus(StatusCode::kDataLoss, "malformed tail frame"));
}

bool TailServer::Handle(io::Connection& connection, const io::Frame& frame) {
  const std::uint64_t id = connection.id();
  switch (frame.type) {
    case io::FrameType::kTailSubscribe: {
      TailSource::Subscribe subscribe{id, {}};
      if (!replica::DecodeTailSubscribe(frame.payload, subscribe.request)) return false;
      Input(std::move(subscribe));
      return true;
    }
    case io::FrameType::kCredit: {
      std::uint32_t bytes = 0;
      if (!replica::DecodeTailCredit(frame.payload, bytes)) return false;
      Input(TailSource::Credit{id, bytes});
      return true;
    }
    case io::FrameType::kReadIndex: {
      replica::ReadIndex request;
      if (!replica::DecodeReadIndex(frame.payload, request)) return false;
      hooks_.round(id, request.id, request.relaxed);
      return true;
    }
    case io::FrameType::kRegistryRenew: {
      replica::RenewBundle bundle;
      if (!replica::DecodeRenewBundle(frame.payload, bundle)) return false;
      hooks_.renewals(bundle);
      return true;
    }
    default:
      return true;  // a newer peer's: not for us
  }
}

void TailServer::Answer(std::uint64_t child, std::uint64_t child_id, bool ok, Index index) {
  if (ok) Input(TailSource::BeforeAnswer{child});
  Send(child, io::FrameType::kReadIndexReply, replica::EncodeReadIndexReply({child_id, ok, index}));
}

void TailServer::Send(std::uint64_t conn, io::FrameType type, std::string_view payload) {
  const auto it = connections_.find(conn);
  if (it == connections_.end()) return;
  io::Frame frame;
  frame.type = type;
  frame.payload = payload;
  it->second->Send(frame);
}

void TailServer::Perform() {
  // A WAL read is an input again: it works on an Output of its own.
  TailSource::Output out = std::exchange(out_, {});
  for (const auto& e : out.state) {
    Send(e.conn, io::FrameType::kTailState, EncodeTailState(e.message));
  }
  for (const auto& e : out.entries) {
    Send(e.conn, io::FrameType::kTailEntries, EncodeTailEntries(e.message));
  }
  for (const auto& e : out.behind) {
    Send(e.conn, io::FrameType::kTailBehind, EncodeTailBehind(e.message));
  }
  for (const auto& e : out.refused) {
    Send(e.conn, io::FrameType::kTailRefused, EncodeTailRefused(e.message));
  }
  for (const auto& e : out.read_wal) {
    auto entries = hooks_.read_wal(e.from, e.to, e.bytes_max);
    if (entries.ok()) {
      Input(TailSource::WalRead{e.conn, *std::move(entries), hooks_.first_in_wal()});
      continue;
    }
    // Another voter may be able to read what this one cannot.
    const auto it = connections_.find(e.conn);
    if (it != connections_.end()) it->second->Close(entries.status());
  }
  ArmTimer();
}

void TailServer::OnTurn(Time now) {
  if (now >= source_.NextDeadline()) Input(TailSource::Timer{});
  ArmTimer();
}

void TailServer::ArmTimer() {
  const Time next = source_.NextDeadline();
  if (next >= timer_at_) return;  // what is set already is sooner, and looks again
  if (timer_ != 0) loop_.Cancel(timer_);
  timer_at_ = next;
  timer_ = loop_.RunAt(next, [this] {
    timer_ = 0;
    timer_at_ = kNever;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

std::size_t TailServer::learners() const {
  std::size_t count = 0;
  for (const auto& [id, connection] : connections_) {
    count += connection->peer().role == io::ProcessRole::kLearner ? 1 : 0;
  }
  return count;
}

void TailServer::CloseAll(const Status& reason) {
  std::vector<io::Connection*> open;
  for (const auto& [id, connection] : connections_) open.push_back(connection);
  for (io::Connection* connection : open) connection->Close(reason);
}

}  // namespace coppice::node
