// Bytes on the peer port: packets, frames, Hellos with and without a secret, and what lies in the
// frames of each class, to a real connection over a pair of sockets; and answers to a process that
// forwards requests over it (asker.h). Whatever comes, what we send
// is whole packets of whole frames that begin with our Hello; nothing is handed on before both
// Hellos were right; a decoder's result written out is read as the same; and a connection ends
// once.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/io/asio_connection.h"
#include "common/io/envelope.h"
#include "common/io/frame.h"
#include "common/io/hello.h"
#include "common/raft/messages.h"
#include "common/replica/replica_wire.h"
#include "common/replica/watch_wire.h"
#include "fuzz/asker.h"
#include "fuzz/input.h"
#include "fuzz/peer_handler.h"
#include "fuzz/target.h"
#include "fuzz/turn.h"

namespace coppice::fuzz {
namespace {

using io::ConnectionClass;
using io::Frame;
using io::FrameType;

constexpr int kStepsMax = 60;
constexpr std::string_view kSecret = "a secret";

// The stranger's end of the connection, and the check of all that comes out of ours.
class World {
 public:
  explicit World(Input& input) : input_(input) {
    const std::uint8_t flags = input_.Byte();
    dialer_ = (flags & 1) != 0;
    if (dialer_ && (flags & 8) != 0) asker_ = std::make_unique<Asker>(TheLoop());
    if ((flags & 2) != 0) options_.peer_secret = kSecret;
    options_.hello.cluster_id = (flags & 4) != 0 ? 7 : 0;
    options_.hello.node_id = 1;
    std::array<int, 2> pair{};
    COPPICE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
    theirs_ = pair[0];
    io::AsioConnection::Socket socket(TheLoop().context());
    socket.assign(boost::asio::ip::tcp::v4(), pair[1]);
    io::AsioConnection::Events events;
    events.on_ready = [this](io::AsioConnection& connection) {
      COPPICE_CHECK(!std::exchange(ready_, true));
      COPPICE_CHECK(options_.peer_secret.empty() || proved_, "only who knows the secret gets in");
      handler_.ServeBy(asker_.get());
      connection.Start(handler_);
    };
    events.on_end = [this](io::AsioConnection&, const Status& reason, bool was_open) {
      COPPICE_CHECK(!std::exchange(ended_, true) && !reason.ok());
      COPPICE_CHECK(was_open == handler_.open());
      if (!was_open && asker_ != nullptr) asker_->OnNeverOpen(reason);
    };
    connection_ = std::make_shared<io::AsioConnection>(TheLoop(), std::move(socket), options_,
                                                       std::move(events));
    dialer_ ? connection_->BeginAsDialer(ConnectionClass::kRequest)
            : connection_->BeginAsAcceptor();
  }

  ~World() {
    ::shutdown(theirs_, SHUT_WR);
    for (int i = 0; i < 4 && !ended_; ++i) Pass();
    if (!ended_) connection_->Close(MakeStatus(StatusCode::kUnavailable, "the end"));
    Turn();
    Take();
    COPPICE_CHECK(ended_ && handler_.closed() == handler_.open());
    handler_.node().AnswerLate();
    ::close(theirs_);
    connection_.reset();
    asker_.reset();
    Turn();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void Run() {
    Pass();
    for (int steps = 0; steps < kStepsMax && !input_.done(); ++steps) Step();
    Pass();
  }

 private:
  void Step() {
    switch (input_.Byte() % 8) {
      case 0:
        return Send(input_.Chunk());
      case 1:
        return SendPacket(input_.Chunk());
      case 2:
        return SendHello();
      case 3:
        return Pass();
      case 4:
        handler_.node().AnswerLate();
        if (asker_ != nullptr) asker_->Act(input_.Byte());
        return Pass();
      default: {
        Frame frame;
        frame.type = static_cast<FrameType>(input_.Byte());
        frame.flags = input_.Byte() % 8;
        frame.method = input_.Byte();
        frame.stream = {input_.Byte() % 4U, input_.Byte() % 4U};
        frame.payload = input_.Chunk();
        std::string frames;
        io::PutFrameHeader(frames, frame, frame.payload.size());
        return SendPacket(frames.append(frame.payload));
      }
    }
  }

  void SendPacket(std::string_view frames) {
    std::string packet;
    const std::size_t offset = io::OpenPacket(packet);
    packet.append(frames);
    io::ClosePacket(packet, offset);
    Send(packet);
  }

  void SendHello() {
    const std::uint8_t flags = input_.Byte();
    io::Hello hello;
    hello.cluster_id = (flags & 1) != 0 ? 7 : input_.Byte();
    hello.node_id = 2;
    hello.nonce = 5;
    hello.connection_class = static_cast<ConnectionClass>(1 + ((flags >> 1) & 3));
    if ((flags & 8) != 0) {
      hello.proof =
          io::MakeProof(kSecret, dialer_, dialer_ ? their_nonce_ : 5, dialer_ ? 5 : their_nonce_);
      proved_ = proved_ || greeted_;
    }
    if ((flags & 16) != 0) hello.protocol_min = hello.protocol_max = input_.Byte();
    std::string payload;
    io::PutHello(payload, hello);
    Frame frame;
    std::string frames;
    io::PutFrameHeader(frames, frame, payload.size());
    SendPacket(frames.append(payload));
    if ((flags & 32) == 0) Pass();
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(theirs_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return;  // closed: the rest goes nowhere
      if (sent < 0) {
        Pass();
        if (ended_) return;
        continue;
      }
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // Our side's turn, and then its words are read.
  void Pass() {
    Turn();
    Take();
    Turn();
    Take();
  }

  void Take() {
    char buffer[65536];
    for (ssize_t size = 0; (size = ::recv(theirs_, buffer, sizeof(buffer), 0)) > 0;) {
      out_.append(buffer, static_cast<std::size_t>(size));
    }
    std::string_view rest = out_;
    std::string_view frames;
    std::size_t size = 0;
    for (auto error = io::ReadPacket(rest, frames, size); error != io::PacketError::kShort;
         error = io::ReadPacket(rest, frames, size)) {
      COPPICE_CHECK(error == io::PacketError::kOk, "our packets are whole");
      while (!frames.empty()) {
        Frame frame;
        COPPICE_CHECK(io::ReadFrame(frames, frame), "and their frames");
        Hear(frame);
      }
      rest.remove_prefix(size);
    }
    out_.erase(0, out_.size() - rest.size());
  }

  void Hear(const Frame& frame) {
    if (greeted_) {
      COPPICE_CHECK(frame.type != FrameType::kHello || !options_.peer_secret.empty());
      return;
    }
    io::Hello hello;
    COPPICE_CHECK(frame.type == FrameType::kHello && io::ReadHello(frame.payload, hello));
    COPPICE_CHECK(hello.node_id == 1);
    their_nonce_ = hello.nonce;
    greeted_ = true;
  }

  Input& input_;
  bool dialer_ = false;
  io::TransportOptions options_;
  PeerHandler handler_{TheLoop()};
  std::unique_ptr<Asker> asker_;  // null: it serves requests
  int theirs_ = -1;
  std::shared_ptr<io::AsioConnection> connection_;
  std::string out_;
  std::uint64_t their_nonce_ = 0;
  bool greeted_ = false;  // their Hello came
  bool proved_ = false;
  bool ready_ = false;
  bool ended_ = false;
};

void Run(std::string_view bytes) {
  Input input(bytes);
  World(input).Run();
}

std::string FrameStep(FrameType type, std::uint16_t method, std::string_view payload) {
  std::string out("\5", 1);
  out.push_back(static_cast<char>(type));
  out.push_back(0);
  out.push_back(static_cast<char>(method));
  out.append("\1\1", 2);
  PutChunk(out, payload);
  return out;
}

std::string ReplyStep(char slot, char generation, std::uint8_t flags, std::string_view payload) {
  std::string out = FrameStep(FrameType::kReply, 1, payload);
  out[2] = static_cast<char>(flags);
  out[4] = slot;
  out[5] = generation;
  return out;
}

// What a node says to requests: in one frame, in parts, errors of both kinds.
std::string Replies() {
  std::string tail;
  io::PutReplyTail(tail, {.served_by = 3, .staleness_ms_x8 = 8, .mode = 1, .compact_revision = 5});
  std::string total;
  PutLe<std::uint64_t>(total, 8);
  const std::string take("\4\2", 2);
  return ReplyStep(0, 1, 0, "whole" + tail) +
         ReplyStep(1, 1, io::kFlagMore | io::kFlagTotal, total + "part") + take +
         ReplyStep(1, 1, 0, "last" + tail) + take +
         ReplyStep(2, 1, io::kFlagError, std::string("\xe\1not proposed", 14)) +
         ReplyStep(3, 1, io::kFlagMore | io::kFlagTotal, total + "part") +
         ReplyStep(3, 1, io::kFlagError, std::string("\xb\0compacted", 11)) + take +
         ReplyStep(0, 2, io::kFlagTotal, total + "complete" + tail) +
         FrameStep(FrameType::kGoAway, 0, "") + std::string("\4\3\4\4\4\5\3", 7);
}

std::string Request(std::string_view bytes) {
  io::Envelope envelope;
  envelope.deadline_left = kSecond;
  envelope.token = "token";
  envelope.consistency.mode = ReadMode::kBounded;
  envelope.consistency.max_staleness = 250 * kMillisecond;
  envelope.attempt = 3;
  std::string payload;
  io::PutEnvelope(payload, envelope);
  return FrameStep(FrameType::kRequest, 1, payload.append(bytes));
}

std::string TailFrames() {
  replica::TailEntries entries;
  entries.commit = Index(5);
  entries.entries = {Entry::Make(Term(2), Index(4), RecordKind::kNoop, ""),
                     Entry::Make(Term(2), Index(5), RecordKind::kCommand, "payload")};
  replica::TailState state;
  state.cluster_id = 7;
  state.path = {NodeId(1), NodeId(2)};
  state.round_age = 8;
  const raft::Message append = raft::Append{.term = Term(2),
                                            .prev_index = Index(3),
                                            .prev_term = Term(1),
                                            .commit = Index(3),
                                            .round = 4,
                                            .entries = entries.entries};
  const raft::Message vote =
      raft::VoteRequest{.term = Term(3), .last_index = Index(5), .last_term = Term(2)};
  return FrameStep(FrameType::kTailSubscribe, 0,
                   replica::EncodeTailSubscribe({.cluster_id = 7,
                                                 .node = NodeId(2),
                                                 .index = Index(3),
                                                 .term = Term(1),
                                                 .credit = 100})) +
         FrameStep(FrameType::kTailEntries, 0, replica::EncodeTailEntries(entries)) +
         FrameStep(FrameType::kTailState, 0, replica::EncodeTailState(state)) +
         FrameStep(FrameType::kTailRefused, 0,
                   replica::EncodeTailRefused({replica::TailRefusal::kUseFollower, {"h:1"}})) +
         FrameStep(FrameType::kRaft, 0, raft::EncodeMessage(append)) +
         FrameStep(FrameType::kRaft, 0, raft::EncodeMessage(vote));
}

std::string WatchFrames() {
  mvcc::EncodedEvents events;
  events.revision = 8;
  events.bytes = "oneanother";
  events.ends = {3, 10 | mvcc::EncodedEvents::kDeleteMark};
  const auto sent = replica::EncodeWatchEvents(events, 0, 2);
  const auto range = mvcc::KeyRange::FromWire("a", "b");
  const replica::WatchCreateFrame live{.range = range, .credit = 1000};
  const replica::WatchCreateFrame past{.range = range, .prev_kv = true, .start = 5};
  return FrameStep(FrameType::kWatchCreate, 0, replica::EncodeWatchCreate(live)) +
         FrameStep(FrameType::kCredit, 0, replica::EncodeCredit(500)) +
         FrameStep(FrameType::kWatchCancel, 0, "") +
         FrameStep(FrameType::kWatchCreate, 0, replica::EncodeWatchCreate(past)) +
         FrameStep(FrameType::kWatchEvents, 0, sent.head + std::string(sent.bytes)) +
         FrameStep(FrameType::kWatermark, 0,
                   replica::EncodeWatermark({.complete = 9, .lagging = {{1, 1}}})) +
         FrameStep(FrameType::kWatchCanceled, 0,
                   replica::EncodeWatchCanceled({.compact_revision = 3, .reason = "why"}));
}

std::vector<std::string> Seeds() {
  const std::string request_hello("\2\5", 2);  // cluster 7, class request
  const std::string raft_hello("\2\1", 2);
  const std::string proof("\2\x0d", 2);  // the same with a proof
  std::string requests;
  for (int i = 0; i < 7; ++i) requests += Request("key");
  const std::string late("\4", 1);
  return {
      std::string(1, '\4') + request_hello + requests + late,
      std::string(1, '\4') + request_hello + Request("a") +
          FrameStep(FrameType::kReply, 0, "no request's") + FrameStep(FrameType::kCancel, 0, ""),
      std::string(1, '\4') + raft_hello + TailFrames(),
      std::string(1, '\4') + request_hello + WatchFrames(),
      std::string(1, '\5') + request_hello + WatchFrames() + TailFrames(),
      std::string(1, '\x0d') + request_hello + Replies(),
      std::string(1, '\x0d') + request_hello + Replies() + WatchFrames() + Replies(),
      std::string(1, '\x0f') + proof + Replies(),
      std::string(1, '\6') + request_hello + proof + requests,
      std::string(1, '\7') + proof + requests,
      std::string(1, '\6') + request_hello + request_hello,
      std::string(1, '\0') + std::string("\0\x0c\0\x04\0\0\0\0\0\0\0abcd", 15),
  };
}

}  // namespace

Target TransportTarget() {
  return {"transport", Run, Seeds};
}

}  // namespace coppice::fuzz
