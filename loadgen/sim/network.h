#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "common/base/time.h"
#include "loadgen/sim/coverage.h"
#include "loadgen/sim/scheduler.h"

namespace coppice::sim {

using HostId = int;

// One end of a connection, as its owner hears of it. Called at the time of arrival; the owner
// delivers it to its process.
class SocketHandler {
 public:
  virtual ~SocketHandler() = default;
  virtual void OnConnected() {}  // dialers only
  virtual void OnRefused() {}    // dialers only: the host is there and nobody listens
  virtual void OnBytes(std::string bytes) = 0;
  virtual void OnClosed() = 0;  // by the other end, or reset
  virtual void OnTaken() {}     // some of what was sent has arrived: unsent_bytes() is less
};

// Hosts, the ways between them, and TCP connections over them: what is sent arrives once and in
// order, after a delay, or the connection ends. A lost packet is one that is sent again later. A
// way that is cut holds everything; a connection over it ends only if one of its ends gives up. A
// host that lost its power says nothing, and answers with a reset once it is up again.
// Everything random comes from (seed, way, number of the packet).
class Network {
 public:
  struct Way {
    Micros latency = 200;
    Micros jitter = 100;
    double loss = 0;                    // of packets; each costs a retransmission timeout
    std::int64_t bytes_per_second = 0;  // 0: no limit
    int cuts = 0;                       // faults that cut it now
    int slows = 0;                      // ... and that slow it down
    Micros slow_latency = 0;            // added while slowed down
  };
  using Accept = std::function<SocketHandler*(std::uint64_t flow)>;

  Network(Scheduler& scheduler, Trace& trace, Coverage& coverage, std::uint64_t seed);

  HostId AddHost();
  int hosts() const { return hosts_; }
  Way& way(HostId from, HostId to) { return ways_[{from, to}]; }
  void SetCut(HostId from, HostId to, bool cut);
  bool IsCut(HostId from, HostId to) { return way(from, to).cuts > 0; }

  void Listen(HostId host, std::uint16_t port, Accept accept);
  // Nobody listens on `host` any more. Its connections end: as a process that was killed, or
  // without a word, as a machine that lost its power.
  void StopHost(HostId host, bool power_loss);
  void StartHost(HostId host);  // has power again

  // Returns the connection's id; exactly one of OnConnected and OnRefused follows, or neither. Of
  // one with pings (io::Liveness) the end whose other end has lost its power hears so some seconds
  // later; pings themselves are not sent.
  std::uint64_t Dial(HostId from, HostId to, std::uint16_t port, SocketHandler& handler,
                     bool pings = false);
  // Leaves at `depart`. From the end that `handler` is.
  void Send(std::uint64_t flow, const SocketHandler& handler, std::string bytes, Time depart);
  // What was sent still arrives. No call of `handler` follows.
  void Close(std::uint64_t flow, const SocketHandler& handler, Time depart);
  // Bytes that the machine has not taken off the process yet.
  std::size_t unsent_bytes(std::uint64_t flow, const SocketHandler& handler) const;

  // Faults. Ends the connections that `matches` says, both ends hear of it; returns how many.
  int Reset(const std::function<bool(HostId, HostId, std::uint64_t flow)>& matches);
  std::size_t flows() const { return flows_.size(); }
  // Ways that lie still because of a fault that is over go on.
  void Heal();

 private:
  enum class Kind : std::uint8_t { kSyn, kSynAck, kRefused, kData, kFin, kReset };
  struct Packet {
    Time arrival;
    Kind kind;
    std::string bytes;
  };
  struct End {
    HostId host = -1;
    SocketHandler* handler = nullptr;  // null: the process has let go
    bool silent = false;               // its machine lost its power
    // What this end has sent and has not arrived.
    std::deque<Packet> sent;
    std::size_t bytes = 0;
    Time last_arrival = 0;
    bool stalled = false;  // the way is cut
  };
  struct Flow {
    End ends[2];  // [0] dialed
    std::uint16_t port = 0;
    bool pings = false;
    std::uint64_t packets = 0;
  };

  int SideOf(const Flow& flow, const SocketHandler& handler) const;
  void Put(std::uint64_t id, Flow& flow, int side, Kind kind, std::string bytes, Time depart);
  Micros Delay(Flow& flow, std::uint64_t id, int side, std::size_t size);
  void Arrived(std::uint64_t id, int side);
  void Take(std::uint64_t id, int side, Packet packet);
  void Write(const Flow& flow, std::uint64_t id, int side, const Packet& packet) const;
  void TakeSyn(std::uint64_t id, int side);
  void AnswerReset(std::uint64_t id, int side);
  void GiveUp(std::uint64_t id);
  void EndFlow(std::uint64_t id, int side_told);

  Scheduler& scheduler_;
  Trace& trace_;
  Coverage& coverage_;
  const std::uint64_t seed_;
  int hosts_ = 0;
  std::uint64_t last_flow_ = 0;
  std::map<std::pair<HostId, HostId>, Way> ways_;
  std::map<std::pair<HostId, std::uint16_t>, Accept> ports_;
  std::vector<bool> powered_;
  std::map<std::uint64_t, Flow> flows_;
};

}  // namespace coppice::sim
