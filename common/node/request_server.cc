#include "common/node/request_server.h"

#include <utility>
#include <vector>

#include "common/base/coding.h"
#include "common/base/log.h"
#include "common/base/recycled.h"
#include "common/io/envelope.h"

namespace coppice::node {
namespace {

std::uint64_t KeyOf(io::StreamId stream) {
  return static_cast<std::uint64_t>(stream.generation) << 32 | stream.slot;
}

io::ReplyTail TailOf(const api::Served& served) {
  io::ReplyTail tail;
  tail.served_by = served.by.value();
  tail.mode = static_cast<std::uint8_t>(served.mode);
  tail.compact_revision = served.compact_revision;
  if (served.staleness >= 0) {
    tail.staleness_ms_x8 = static_cast<std::uint32_t>(
        std::min<std::int64_t>((served.staleness * 8 + 999) / 1000, UINT32_MAX - 1));
  }
  return tail;
}

constexpr std::size_t kPartBytes = 64U << 10;

void PutError(io::Connection& connection, io::Frame frame, const Status& status,
              bool not_proposed) {
  frame.flags = io::kFlagError;
  const std::string_view message = MessageOf(status);
  std::string& out = connection.BeginFrame(frame, 2 + message.size());
  out.push_back(static_cast<char>(status.code()));
  out.push_back(not_proposed ? 1 : 0);
  out.append(message);
}

}  // namespace

// A reply that waits for credit, or for its own bytes: what it still has to send.
struct RequestServer::Sending {
  // Takes what one part has room for; false if the rest never comes.
  bool Fill() {
    using Next = api::PartSource::Next;
    auto next = Next::kMore;
    while (source != nullptr && next == Next::kMore && buffer.size() - sent < kPartBytes) {
      next = source->Take(buffer);
    }
    if (next == Next::kLost) return false;
    if (next == Next::kEnd) {
      served = source->served();
      source = nullptr;
    }
    return true;
  }
  std::size_t ready() const { return buffer.size() - sent; }

  io::StreamId stream;
  std::uint16_t method = 0;
  std::size_t credit = io::kStreamCreditBytes;
  bool first = true;
  std::uint64_t total = 0;
  std::string buffer;
  std::size_t sent = 0;                     // of the buffer
  std::unique_ptr<api::PartSource> source;  // null: the buffer has all that is left
  api::Served served;
};

struct RequestServer::Peer {
  io::Connection* connection = nullptr;
  std::unordered_map<std::uint64_t, Sending> sending;
};

class RequestServer::StreamReplier final : public api::Replier, public Recycled<StreamReplier> {
 public:
  StreamReplier(RequestServer& server, std::uint64_t connection_id, const io::Frame& frame)
      : server_(server),
        connection_id_(connection_id),
        stream_(frame.stream),
        method_(frame.method) {
    ++server_.outstanding_;
    ++server_.received_;
  }
  ~StreamReplier() override { --server_.outstanding_; }

  // Points `request` to copies of its own.
  void Keep(api::Request& request) {
    kept_.reserve(request.bytes.size() + request.token.size());
    kept_.assign(request.bytes).append(request.token);
    request.token = std::string_view(kept_).substr(request.bytes.size());
    request.bytes = std::string_view(kept_).substr(0, request.bytes.size());
  }

  void Ok(std::span<const std::string_view> pieces, const api::Served& served) override {
    Peer* peer = server_.Find(connection_id_);
    if (peer == nullptr) return;
    std::size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    if (size > io::kStreamCreditBytes) return Large(*peer, pieces, size, served);
    io::Frame frame = Reply(0);
    std::string& out = peer->connection->BeginFrame(frame, size + io::kReplyTailSize);
    for (const std::string_view piece : pieces) out.append(piece);
    io::PutReplyTail(out, TailOf(served));
  }

  void Parts(std::uint64_t total, std::unique_ptr<api::PartSource> source) override {
    Peer* peer = server_.Find(connection_id_);
    if (peer == nullptr) return;
    Sending& sending = Begin(*peer, total);
    source->SetReady([server = &server_, id = connection_id_, key = KeyOf(stream_)] {
      Peer* const receiver = server->Find(id);
      if (receiver == nullptr) return;
      const auto it = receiver->sending.find(key);
      if (it != receiver->sending.end()) server->Pump(*receiver, key, it->second);
    });
    sending.source = std::move(source);
    server_.Pump(*peer, KeyOf(stream_), sending);
  }

  void Fail(const Status& status) override { SendError(status, false); }
  void FailNotProposed(const Status& status) override { SendError(status, true); }

 private:
  io::Frame Reply(std::uint8_t flags) const {
    io::Frame frame;
    frame.type = io::FrameType::kReply;
    frame.flags = flags;
    frame.method = method_;
    frame.stream = stream_;
    return frame;
  }

  Sending& Begin(Peer& peer, std::uint64_t total) {
    Sending& sending = peer.sending[KeyOf(stream_)];
    sending.stream = stream_;
    sending.method = method_;
    sending.total = total;
    return sending;
  }

  void Large(Peer& peer, std::span<const std::string_view> pieces, std::size_t size,
             const api::Served& served) {
    Sending& sending = Begin(peer, size);
    sending.served = served;
    sending.buffer.reserve(size);
    for (const std::string_view piece : pieces) sending.buffer.append(piece);
    server_.Pump(peer, KeyOf(stream_), sending);
  }

  void SendError(const Status& status, bool not_proposed) {
    Peer* peer = server_.Find(connection_id_);
    if (peer != nullptr) PutError(*peer->connection, Reply(0), status, not_proposed);
  }

  RequestServer& server_;
  const std::uint64_t connection_id_;
  const io::StreamId stream_;
  const std::uint16_t method_;
  std::string kept_;  // the request's bytes, then its token
};

RequestServer::RequestServer(io::Loop& loop, api::Node& node, WatchServer* watches)
    : loop_(loop), node_(node), watches_(watches) {}

RequestServer::~RequestServer() = default;

RequestServer::Peer* RequestServer::Find(std::uint64_t connection_id) {
  const auto it = peers_.find(connection_id);
  return it == peers_.end() ? nullptr : it->second.get();
}

void RequestServer::OnOpen(io::Connection& connection) {
  auto peer = std::make_unique<Peer>();
  peer->connection = &connection;
  peers_.emplace(connection.id(), std::move(peer));
  if (greet_) greet_(connection);
}

void RequestServer::OnFrame(io::Connection& connection, const io::Frame& frame) {
  Peer* peer = Find(connection.id());
  if (peer == nullptr) return;
  switch (frame.type) {
    case io::FrameType::kRequest:
      return HandleRequest(*peer, frame);
    case io::FrameType::kCredit:
      return HandleCredit(*peer, frame);
    case io::FrameType::kRegistryRenew:
      if (renewals_) renewals_(frame.payload);
      return;
    case io::FrameType::kCancel:
      peer->sending.erase(KeyOf(frame.stream));
      return;
    default:
      if (watches_ != nullptr) watches_->OnWatchFrame(connection, frame);
  }
}

void RequestServer::HandleRequest(Peer& peer, const io::Frame& frame) {
  auto replier = std::make_unique<StreamReplier>(*this, peer.connection->id(), frame);
  std::string_view bytes = frame.payload;
  io::Envelope envelope;
  if (!io::ReadEnvelope(bytes, envelope)) {
    COPPICE_LOG(kError, "a forwarded request with a malformed envelope: closing the connection");
    peer.connection->Close(MakeStatus(StatusCode::kDataLoss, "malformed request envelope"));
    return;
  }
  api::Request request;
  request.method = static_cast<api::Method>(frame.method);
  request.bytes = bytes;
  request.token = envelope.token;
  replier->Keep(request);
  request.consistency = envelope.consistency;
  const Time now = loop_.wake_time();
  const bool bounded = envelope.deadline_left > 0 && envelope.deadline_left < kNever - now;
  request.deadline = bounded ? now + envelope.deadline_left : kNever;
  request.attempt = envelope.attempt;
  request.hops = static_cast<std::uint8_t>(envelope.hops + 1);
  node_.Serve(request, std::move(replier));
}

void RequestServer::HandleCredit(Peer& peer, const io::Frame& frame) {
  const auto it = peer.sending.find(KeyOf(frame.stream));
  if (it == peer.sending.end()) {  // a watch's, or of an answer that is complete
    if (watches_ != nullptr) watches_->OnWatchFrame(*peer.connection, frame);
    return;
  }
  if (frame.payload.size() != 4) return;
  it->second.credit += GetLe<std::uint32_t>(frame.payload.data());
  Pump(peer, it->first, it->second);
}

// Sends parts while the stream has credit and the socket takes them.
void RequestServer::Pump(Peer& peer, std::uint64_t key, Sending& sending) {
  while (sending.credit > 0 && peer.connection->unsent_bytes() < io::kStreamCreditBytes) {
    if (!sending.Fill()) {
      io::Frame frame;
      frame.type = io::FrameType::kReply;
      frame.method = sending.method;
      frame.stream = sending.stream;
      PutError(*peer.connection, frame, sending.source->status(), false);
      peer.sending.erase(key);
      return;
    }
    if (sending.ready() == 0 && sending.source != nullptr) return;  // it says when there is more
    if (SendPart(peer, sending)) {
      peer.sending.erase(key);
      return;
    }
  }
}

// Whether that was the last one.
bool RequestServer::SendPart(Peer& peer, Sending& sending) {
  const std::size_t part = std::min({sending.ready(), sending.credit, kPartBytes});
  const bool last = sending.source == nullptr && part == sending.ready();
  io::Frame frame;
  frame.type = io::FrameType::kReply;
  frame.flags =
      static_cast<std::uint8_t>((last ? 0 : io::kFlagMore) | (sending.first ? io::kFlagTotal : 0));
  frame.method = sending.method;
  frame.stream = sending.stream;
  std::string& out = peer.connection->BeginFrame(
      frame, part + (sending.first ? 8 : 0) + (last ? io::kReplyTailSize : 0));
  if (sending.first) PutLe<std::uint64_t>(out, sending.total);
  out.append(sending.buffer, sending.sent, part);
  sending.first = false;
  sending.sent += part;
  sending.credit -= part;
  if (last) {
    io::PutReplyTail(out, TailOf(sending.served));
  } else if (sending.source != nullptr) {  // a buffer that has all is not moved to its front
    sending.buffer.erase(0, std::exchange(sending.sent, 0));
  }
  return last;
}

void RequestServer::PumpAll(Peer& peer) {
  std::vector<std::uint64_t> keys;
  keys.reserve(peer.sending.size());
  for (const auto& [key, sending] : peer.sending) keys.push_back(key);
  for (const std::uint64_t key : keys) {
    if (const auto it = peer.sending.find(key); it != peer.sending.end())
      Pump(peer, key, it->second);
  }
}

void RequestServer::OnWritable(io::Connection& connection) {
  if (Peer* peer = Find(connection.id())) PumpAll(*peer);
  if (watches_ != nullptr) watches_->OnWatchWritable(connection);
}

void RequestServer::OnClosed(io::Connection& connection, const Status& /*reason*/) {
  peers_.erase(connection.id());
  if (watches_ != nullptr) watches_->OnWatchClosed(connection);
}

void RequestServer::Broadcast(io::FrameType type, std::string_view payload) {
  io::Frame frame;
  frame.type = type;
  frame.payload = payload;
  for (auto& [id, peer] : peers_) peer->connection->Send(frame);
}

std::size_t RequestServer::outstanding() const {
  std::size_t count = outstanding_;
  for (const auto& [id, peer] : peers_) count += peer->sending.size();
  return count;
}

void RequestServer::Forget() {
  peers_.clear();
}

void RequestServer::CloseAll(const Status& reason) {
  std::vector<io::Connection*> connections;
  for (auto& [id, peer] : peers_) connections.push_back(peer->connection);
  for (io::Connection* connection : connections) connection->Close(reason);
}

}  // namespace coppice::node
