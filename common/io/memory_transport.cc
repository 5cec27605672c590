#include "common/io/memory_transport.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/rng.h"

namespace coppice::io {

// One end of a connection. Its inbox holds the packets that the other end sent.
class MemoryNetwork::End final : public Connection {
 public:
  End(MemoryNetwork& network, Process* process, const Hello& peer, std::uint64_t id)
      : network_(network), process(process), peer_(peer), id_(id) {}

  const Hello& peer() const override { return peer_; }
  std::string& BeginFrame(const Frame& frame, std::size_t payload_size) override {
    Seal();
    open_ = true;
    OpenPacket(packet_);
    PutFrameHeader(packet_, frame, payload_size);
    return packet_;
  }
  std::size_t unsent_bytes() const override { return 0; }
  void Close(const Status& reason) override {
    if (closing) return;
    Seal();
    closing = true;
    reason_ = reason;
    if (End* peer = Other()) peer->closing_by_peer = true;
  }
  std::uint64_t id() const override { return id_; }

  // Ends the packet that the last BeginFrame opened and puts it into the other end's inbox.
  void Seal() {
    if (!std::exchange(open_, false)) return;
    ClosePacket(packet_, 0);
    if (End* peer = Other()) peer->inbox.push_back(std::move(packet_));
    packet_.clear();
  }
  End* Other() const {
    const auto it = network_.ends_.find(other);
    return it == network_.ends_.end() ? nullptr : it->second.get();
  }
  bool Ready() const { return !opened || !inbox.empty() || closing || closing_by_peer; }
  Status Reason() const {
    return closing ? reason_
                   : MakeStatus(StatusCode::kUnavailable, "the peer closed the connection");
  }

  MemoryNetwork& network_;
  Process* process;
  std::uint64_t other = 0;
  ConnectionHandler* handler = nullptr;
  std::deque<std::string> inbox;
  bool opened = false;
  bool closing = false;
  bool closing_by_peer = false;

 private:
  const Hello peer_;
  const std::uint64_t id_;
  std::string packet_;
  bool open_ = false;
  Status reason_;
};

class MemoryNetwork::Process final : public Transport {
 public:
  Process(MemoryNetwork& network, const TransportOptions& options)
      : network_(network), options_(options) {
    network_.processes_.push_back(this);
  }
  ~Process() override {
    network_.CloseProcess(*this);
    std::erase(network_.processes_, this);
  }

  void Dial(const std::string& host, std::uint16_t port, ConnectionClass connection_class,
            ConnectionHandler& handler, OnFailure on_failure) override {
    const auto fail = [&](const std::string& why, bool refused) {
      network_.failures_.push_back([on_failure, why, refused] {
        on_failure({MakeStatus(StatusCode::kUnavailable, why), refused});
      });
    };
    const auto it = network_.ports_.find({host, port});
    if (it == network_.ports_.end()) {
      return fail(fmt::format("cannot reach {}:{}: Connection refused", host, port), true);
    }
    Process& target = *it->second.process;
    Hello mine = options_.hello;
    mine.connection_class = connection_class;
    Hello theirs = target.options_.hello;
    theirs.connection_class = connection_class;
    if (const std::string refusal = RefusalOf(mine, theirs); !refusal.empty()) {
      return fail(refusal, false);
    }
    if (options_.peer_secret != target.options_.peer_secret) {
      return fail("does not know the peer secret (--peer-secret-file)", false);
    }
    ConnectionHandler* accepted = it->second.accept(mine);
    if (accepted == nullptr) return fail("refused", false);
    network_.last_id_ += 2;
    auto near = std::make_unique<End>(network_, this, theirs, network_.last_id_ - 1);
    auto far = std::make_unique<End>(network_, &target, mine, network_.last_id_);
    near->handler = &handler;
    far->handler = accepted;
    near->other = far->id();
    far->other = near->id();
    network_.ends_.emplace(near->id(), std::move(near));
    network_.ends_.emplace(far->id(), std::move(far));
  }
  void SetClusterId(std::uint64_t cluster_id) override { options_.hello.cluster_id = cluster_id; }

 private:
  friend class MemoryNetwork;
  MemoryNetwork& network_;
  TransportOptions options_;
};

MemoryNetwork::MemoryNetwork() = default;
MemoryNetwork::~MemoryNetwork() {
  COPPICE_CHECK(processes_.empty(), "processes leave before the network goes");
}

std::unique_ptr<Transport> MemoryNetwork::Join(const TransportOptions& options) {
  return std::make_unique<Process>(*this, options);
}

void MemoryNetwork::Listen(Transport& transport, const std::string& host, std::uint16_t port,
                           Accept accept) {
  ports_[{host, port}] = {static_cast<Process*>(&transport), std::move(accept)};
}

void MemoryNetwork::CloseProcess(Transport& transport) {
  auto* process = static_cast<Process*>(&transport);
  std::erase_if(ports_, [process](const auto& port) { return port.second.process == process; });
  for (auto it = ends_.begin(); it != ends_.end();) {
    if (it->second->process != process) {
      ++it;
      continue;
    }
    if (End* other = it->second->Other()) other->closing_by_peer = true;
    it = ends_.erase(it);
  }
}

std::vector<std::uint64_t> MemoryNetwork::Pending() const {
  std::vector<std::uint64_t> ready;
  if (!failures_.empty()) ready.push_back(0);
  for (const auto& [id, end] : ends_) {
    end->Seal();
    if (end->opened) continue;
    ready.push_back(id);
  }
  for (const auto& [id, end] : ends_) {
    if (end->opened && end->Ready()) ready.push_back(id);
  }
  return ready;
}

void MemoryNetwork::Deliver(std::uint64_t direction) {
  if (direction == 0) {
    if (failures_.empty()) return;
    const auto tell = std::move(failures_.front());
    failures_.pop_front();
    return tell();
  }
  const auto it = ends_.find(direction);
  if (it == ends_.end()) return;
  End& end = *it->second;
  if (!std::exchange(end.opened, true)) return end.handler->OnOpen(end);
  if (!end.closing && !end.inbox.empty()) {
    const std::string packet = std::move(end.inbox.front());
    end.inbox.pop_front();
    std::string_view frames;
    std::size_t size = 0;
    COPPICE_CHECK(ReadPacket(packet, frames, size) == PacketError::kOk);
    Frame frame;
    while (!frames.empty() && !end.closing) {
      COPPICE_CHECK(ReadFrame(frames, frame));
      if (frame.type == FrameType::kPing) continue;
      end.handler->OnFrame(end, frame);
    }
    return;
  }
  if (!end.closing && !end.closing_by_peer) return;
  const std::unique_ptr<End> gone = std::move(it->second);
  ends_.erase(it);
  gone->handler->OnClosed(*gone, gone->Reason());
}

std::size_t MemoryNetwork::DeliverAll() {
  std::size_t count = 0;
  for (auto pending = Pending(); !pending.empty(); pending = Pending()) {
    Deliver(pending.front());
    ++count;
  }
  return count;
}

void MemoryNetwork::Cut(
    const std::function<bool(const Hello& dialer, const Hello& acceptor)>& matches) {
  for (const auto& [id, end] : ends_) {
    End* far = end->Other();
    // The dialer's end of a connection has the odd id, and `peer` is the other side's Hello.
    if (id % 2 == 0 || far == nullptr || !matches(far->peer(), end->peer())) continue;
    for (End* side : {end.get(), far}) {
      side->Seal();
      side->inbox.clear();
      side->closing_by_peer = true;
    }
  }
}

}  // namespace coppice::io
