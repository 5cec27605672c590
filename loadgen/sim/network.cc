#include "loadgen/sim/network.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/crc32c.h"
#include "common/io/liveness.h"

namespace coppice::sim {
namespace {

constexpr std::size_t kWindowBytes = 256U << 10;  // in flight; more stays with the sender
constexpr Micros kRetransmit = 200 * kMillisecond;
constexpr Micros kRetransmitMax = 1600 * kMillisecond;
constexpr Micros kSilenceMax = io::Liveness::kSilentTicksMax * kSecond;  // where there are pings
constexpr std::uint64_t kStreamWays = 1;

}  // namespace

Network::Network(Scheduler& scheduler, Trace& trace, Coverage& coverage, std::uint64_t seed)
    : scheduler_(scheduler), trace_(trace), coverage_(coverage), seed_(seed) {}

HostId Network::AddHost() {
  powered_.push_back(true);
  return hosts_++;
}

void Network::SetCut(HostId from, HostId to, bool cut) {
  Way& w = way(from, to);
  w.cuts += cut ? 1 : -1;
  COPPICE_CHECK(w.cuts >= 0);
  if (w.cuts > 0) return;
  for (auto& [id, flow] : flows_) {
    for (int side = 0; side < 2; ++side) {
      End& end = flow.ends[side];
      if (!end.stalled || end.host != from || flow.ends[1 - side].host != to) continue;
      end.stalled = false;
      // The next retransmission gets through, some time after.
      Rng rng(seed_ ^ Mix64(id), kStreamWays + 100 + flow.packets++);
      const Time at = scheduler_.now() + rng.Between(1 * kMillisecond, kRetransmitMax);
      for (Packet& packet : end.sent) packet.arrival = std::max(packet.arrival, at);
      end.last_arrival = std::max(end.last_arrival, at);
      scheduler_.At(at, [this, flow_id = id, side] { Arrived(flow_id, side); });
    }
  }
}

void Network::Listen(HostId host, std::uint16_t port, Accept accept) {
  ports_[{host, port}] = std::move(accept);
}

void Network::StopHost(HostId host, bool power_loss) {
  std::erase_if(ports_, [host](const auto& port) { return port.first.first == host; });
  if (power_loss) powered_[static_cast<std::size_t>(host)] = false;
  std::vector<std::uint64_t> ids;
  for (auto& [id, flow] : flows_) {
    if (flow.ends[0].host == host || flow.ends[1].host == host) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    for (int side = 0; side < 2; ++side) {
      const auto at = flows_.find(id);
      if (at == flows_.end()) break;
      End& end = at->second.ends[side];
      if (end.host != host || end.handler == nullptr) continue;
      end.handler = nullptr;
      if (power_loss) {
        end.silent = true;
        if (at->second.pings)
          scheduler_.At(scheduler_.now() + kSilenceMax, [this, id] { GiveUp(id); });
        end.sent.clear();
        end.bytes = 0;
      } else {
        Put(id, at->second, side, Kind::kFin, {}, scheduler_.now());
      }
    }
  }
}

void Network::StartHost(HostId host) {
  powered_[static_cast<std::size_t>(host)] = true;
  // Whoever still sends to its past is told so at the next retransmission.
  for (auto& [id, flow] : flows_) {
    for (int side = 0; side < 2; ++side) {
      End& end = flow.ends[side];
      if (flow.ends[1 - side].host != host || end.sent.empty() || end.stalled) continue;
      Rng rng(seed_ ^ Mix64(id), kStreamWays + 200 + flow.packets++);
      const Time at = scheduler_.now() + rng.Between(1 * kMillisecond, kRetransmitMax);
      for (Packet& packet : end.sent) packet.arrival = std::max(packet.arrival, at);
      end.last_arrival = std::max(end.last_arrival, at);
      scheduler_.At(at, [this, flow_id = id, side] { Arrived(flow_id, side); });
    }
  }
}

std::uint64_t Network::Dial(HostId from, HostId to, std::uint16_t port, SocketHandler& handler,
                            bool pings) {
  const std::uint64_t id = ++last_flow_;
  Flow& flow = flows_[id];
  flow.port = port;
  flow.pings = pings;
  flow.ends[0].host = from;
  flow.ends[0].handler = &handler;
  flow.ends[1].host = to;
  Put(id, flow, 0, Kind::kSyn, {}, scheduler_.now());
  return id;
}

int Network::SideOf(const Flow& flow, const SocketHandler& handler) const {
  if (flow.ends[0].handler == &handler) return 0;
  return flow.ends[1].handler == &handler ? 1 : -1;
}

void Network::Send(std::uint64_t flow_id, const SocketHandler& handler, std::string bytes,
                   Time depart) {
  const auto at = flows_.find(flow_id);
  if (at == flows_.end()) return;
  const int side = SideOf(at->second, handler);
  if (side >= 0) Put(flow_id, at->second, side, Kind::kData, std::move(bytes), depart);
}

void Network::Close(std::uint64_t flow_id, const SocketHandler& handler, Time depart) {
  const auto at = flows_.find(flow_id);
  if (at == flows_.end()) return;
  const int side = SideOf(at->second, handler);
  if (side < 0) return;
  at->second.ends[side].handler = nullptr;
  Put(flow_id, at->second, side, Kind::kFin, {}, depart);
}

std::size_t Network::unsent_bytes(std::uint64_t flow_id, const SocketHandler& handler) const {
  const auto at = flows_.find(flow_id);
  if (at == flows_.end()) return 0;
  const int side = SideOf(at->second, handler);
  if (side < 0) return 0;
  const std::size_t bytes = at->second.ends[side].bytes;
  return bytes > kWindowBytes ? bytes - kWindowBytes : 0;
}

Micros Network::Delay(Flow& flow, std::uint64_t id, int side, std::size_t size) {
  const Way& w = way(flow.ends[side].host, flow.ends[1 - side].host);
  Rng rng(seed_ ^ Mix64(id * 2 + static_cast<std::uint64_t>(side)), kStreamWays + ++flow.packets);
  Micros delay =
      w.latency + static_cast<Micros>(rng.Below(static_cast<std::uint64_t>(w.jitter) + 1));
  if (w.slows > 0) {
    delay += w.slow_latency / 2 +
             static_cast<Micros>(rng.Below(static_cast<std::uint64_t>(w.slow_latency) + 1));
  }
  for (Micros again = kRetransmit; w.loss > 0 && again <= kRetransmitMax; again *= 2) {
    if (!rng.Chance(w.loss)) break;
    delay += again;
    coverage_.Add("packets-lost");
  }
  if (w.bytes_per_second > 0) {
    delay += static_cast<Micros>(size) * kSecond / w.bytes_per_second;
  }
  return delay;
}

void Network::Put(std::uint64_t id, Flow& flow, int side, Kind kind, std::string bytes,
                  Time depart) {
  End& end = flow.ends[side];
  const Micros delay = Delay(flow, id, side, bytes.size());
  const Time arrival = std::max(end.last_arrival, depart + delay);
  end.last_arrival = arrival;
  end.bytes += bytes.size();
  const bool scheduled = !end.sent.empty() && end.sent.back().arrival == arrival;
  end.sent.push_back({arrival, kind, std::move(bytes)});
  if (!scheduled) scheduler_.At(arrival, [this, id, side] { Arrived(id, side); });
}

void Network::Arrived(std::uint64_t id, int side) {
  for (;;) {
    const auto at = flows_.find(id);
    if (at == flows_.end()) return;
    Flow& flow = at->second;
    End& end = flow.ends[side];
    if (end.sent.empty() || end.sent.front().arrival > scheduler_.now()) return;
    const HostId to = flow.ends[1 - side].host;
    if (IsCut(end.host, to)) {
      end.stalled = true;
      return;
    }
    if (!powered_[static_cast<std::size_t>(to)]) return;  // StartHost goes on
    Packet packet = std::move(end.sent.front());
    end.sent.pop_front();
    const bool was_full = end.bytes > kWindowBytes;
    end.bytes -= packet.bytes.size();
    SocketHandler* const sender = end.handler;
    trace_.Add(id * 2 + static_cast<std::uint64_t>(side), static_cast<std::uint64_t>(packet.kind),
               Crc32c(0, packet.bytes) + (packet.bytes.size() << 32));
    if (trace_.text != nullptr) Write(flow, id, side, packet);
    if (was_full && sender != nullptr) sender->OnTaken();
    Take(id, side, std::move(packet));
  }
}

void Network::Write(const Flow& flow, std::uint64_t id, int side, const Packet& packet) const {
  constexpr const char* kKinds[] = {"syn", "synack", "refused", "data", "fin", "reset"};
  fmt::print(trace_.text, "{:.6f} net {}>{}:{} #{} {} {}\n",
             static_cast<double>(scheduler_.now()) / kSecond, flow.ends[side].host,
             flow.ends[1 - side].host, flow.port, id, kKinds[static_cast<int>(packet.kind)],
             packet.bytes.size());
}

void Network::Take(std::uint64_t id, int side, Packet packet) {
  Flow& flow = flows_.find(id)->second;
  End& to = flow.ends[1 - side];
  switch (packet.kind) {
    case Kind::kSyn:
      return TakeSyn(id, side);
    case Kind::kSynAck:
      if (to.handler != nullptr) return to.handler->OnConnected();
      return AnswerReset(id, side);
    case Kind::kRefused: {
      SocketHandler* const handler = to.handler;
      flows_.erase(id);
      if (handler != nullptr) handler->OnRefused();
      return;
    }
    case Kind::kData:
      if (to.handler != nullptr) return to.handler->OnBytes(std::move(packet.bytes));
      return AnswerReset(id, side);
    case Kind::kFin:
    case Kind::kReset:
      return EndFlow(id, 1 - side);
  }
}

void Network::TakeSyn(std::uint64_t id, int side) {
  Flow& flow = flows_.find(id)->second;
  const auto port = ports_.find({flow.ends[1].host, flow.port});
  SocketHandler* const handler = port == ports_.end() ? nullptr : port->second(id);
  if (handler == nullptr) {
    return Put(id, flow, 1 - side, Kind::kRefused, {}, scheduler_.now());
  }
  flow.ends[1].handler = handler;
  Put(id, flow, 1, Kind::kSynAck, {}, scheduler_.now());
}

// To an end whose process knows nothing of the connection any more.
void Network::AnswerReset(std::uint64_t id, int side) {
  Flow& flow = flows_.find(id)->second;
  if (flow.ends[side].handler == nullptr) {
    if (flow.ends[side].sent.empty() && flow.ends[1 - side].sent.empty()) flows_.erase(id);
    return;
  }
  if (flow.ends[1 - side].silent) coverage_.Add("half-open-connections-found");
  flow.ends[1 - side].silent = false;
  Put(id, flow, 1 - side, Kind::kReset, {}, scheduler_.now());
}

void Network::GiveUp(std::uint64_t id) {
  const auto at = flows_.find(id);
  if (at == flows_.end()) return;
  for (int side = 0; side < 2; ++side) {
    const bool alone = at->second.ends[1 - side].silent && !at->second.ends[side].silent;
    if (alone) return EndFlow(id, side);
  }
}

void Network::EndFlow(std::uint64_t id, int side_told) {
  const auto at = flows_.find(id);
  SocketHandler* const handler = at->second.ends[side_told].handler;
  at->second.ends[side_told].handler = nullptr;
  flows_.erase(at);
  if (handler != nullptr) handler->OnClosed();
}

int Network::Reset(const std::function<bool(HostId, HostId, std::uint64_t)>& matches) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, flow] : flows_) {
    if (matches(flow.ends[0].host, flow.ends[1].host, id)) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    const auto at = flows_.find(id);
    if (at == flows_.end()) continue;
    SocketHandler* const handlers[] = {at->second.ends[0].handler, at->second.ends[1].handler};
    flows_.erase(at);
    for (SocketHandler* handler : handlers) {
      if (handler != nullptr) handler->OnClosed();
    }
  }
  return static_cast<int>(ids.size());
}

void Network::Heal() {
  for (auto& [hosts, w] : ways_) {
    w.loss = 0;
    w.bytes_per_second = 0;
    w.slows = 0;
    const int cuts = w.cuts;
    for (int i = 0; i < cuts; ++i) SetCut(hosts.first, hosts.second, false);
  }
}

}  // namespace coppice::sim
