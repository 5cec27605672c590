#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/io/loop.h"
#include "loadgen/channel.h"
#include "loadgen/key_space.h"
#include "loadgen/options.h"

namespace coppice::loadgen {

enum class OpKind : std::uint8_t { kPut, kGet };

struct Op {
  OpKind kind = OpKind::kGet;
  ReadMode mode = ReadMode::kLinearizable;  // of a get
  std::uint64_t key = 0;
  std::uint64_t sequence = 0;  // of a put: makes its value unique
  Time intended = 0;           // when it should have been sent: latencies count from here
  Time invoke = 0;             // just before it was sent
};

// Where requests come from.
class OpSource {
 public:
  virtual ~OpSource() = default;
  // False: there is none (for now: asked again when a request ends).
  virtual bool Next(Op& op) = 0;
};

enum class Outcome : std::uint8_t {
  kOk,
  kError,    // grpc-status is not OK
  kWrong,    // a reply that cannot be: malformed, or another key's
  kNotSent,  // certainly not executed
};

struct OpResult {
  Outcome outcome = Outcome::kOk;
  Status status;
  Time end = 0;
  std::uint32_t client = 0;   // each has one request in flight
  bool in_session = false;    // its reads have all that its client has seen
  Revision min_revision = 0;  // of a read: what was asked for
  Revision revision = 0;      // of the header
  bool found = false;
  Revision mod_revision = 0;
  std::string_view value_id;  // Values::IdOf what was read
};

class OpListener {
 public:
  virtual ~OpListener() = default;
  virtual void OnOp(const Op& op, const OpResult& result) = 0;
};

// Sends what a source gives over all connections, each with a fixed number of requests in flight:
// at once (closed loop), or at a rate, when requests wait for a free place and their latency counts
// from when they should have left. Checks each reply. A part of the clients keep sessions: their
// reads ask for the highest revision that a reply has shown them. Thread: the loop's.
class Engine final : public rpc::ClientConnection::Observer, public io::TurnTask {
 public:
  Engine(io::Loop& loop, const Options& options, Values values);
  ~Engine() override;

  // `done`: OK when every connection stands, else why the first could not be made.
  void Connect(std::function<void(const Status&)> done);
  // Runs until Stop, or the source has nothing more, and everything in flight has ended: `done`.
  // `rate` 0: closed loop.
  void Start(OpSource& source, OpListener& listener, double rate, std::function<void()> done);
  void Stop();

  // When the put with this sequence number was sent: one of the last 65,536.
  Time SentAt(std::uint64_t sequence) const { return sent_at_[sequence % sent_at_.size()]; }
  std::uint64_t reconnects() const { return reconnects_; }

  void OnMessage(std::uint64_t tag, std::string_view message) override;
  void OnFinish(std::uint64_t tag, const Status& status) override;
  void OnTurn(Time now) override;

 private:
  struct Slot {
    Op op;
    std::uint32_t channel = 0;
    OpResult result;
    Revision seen = 0;  // by a client that keeps a session
    std::string value_id;
    bool replied = false;
  };

  void OnChannel(std::uint32_t channel, const Status& status);
  bool Due(Time now, Time& intended);
  bool TakeIdle(std::uint32_t& slot);
  bool Issue(std::uint32_t slot, Time intended, Time now);
  void Scan(Slot& slot, std::string_view message);
  void Rest(std::uint32_t slot);
  void Release(std::uint32_t slot);
  void ArmTick(Time now);
  void CheckDone();

  io::Loop& loop_;
  const Options& options_;
  io::SystemClock clock_;
  KeySpace names_;
  Values values_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<Slot> slots_;
  std::vector<std::vector<std::uint32_t>> idle_;  // of each channel
  std::uint32_t next_channel_ = 0;
  std::string request_;

  std::function<void(const Status&)> connected_;
  std::size_t connecting_ = 0;
  std::uint64_t reconnects_ = 0;

  OpSource* source_ = nullptr;
  OpListener* listener_ = nullptr;
  std::function<void()> done_;
  bool stopping_ = false;
  bool exhausted_ = false;
  std::size_t in_flight_ = 0;
  std::size_t resting_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<Time> sent_at_;

  double rate_ = 0;
  Time started_ = 0;
  std::uint64_t issued_ = 0;
  io::Loop::TimerId tick_ = 0;
};

}  // namespace coppice::loadgen
