#include "loadgen/engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "loadgen/wire.h"

namespace coppice::loadgen {
namespace {

// How long a client that got an error waits: a cluster without a leader answers at once.
constexpr Micros kRestAfterError = 10 * kMillisecond;
constexpr Micros kTickMin = 200;

// Spread evenly over the clients whatever their number: the golden ratio's multiples, modulo 1,
// are.
bool KeepsSession(std::uint32_t client, double share) {
  constexpr double kGoldenRatio = 0.6180339887498949;
  return std::fmod((client + 1) * kGoldenRatio, 1.0) < share;
}

}  // namespace

Engine::Engine(io::Loop& loop, const Options& options, Values values)
    : loop_(loop),
      options_(options),
      names_(options.prefix, options.keys, Distribution::kUniform, 0),
      values_(std::move(values)),
      sent_at_(1U << 16) {
  const auto connections = static_cast<std::uint32_t>(options.connections);
  const auto streams = static_cast<std::uint32_t>(options.streams);
  slots_.resize(std::size_t{connections} * streams);
  idle_.resize(connections);
  for (std::uint32_t i = 0; i < connections; ++i) {
    channels_.push_back(std::make_unique<Channel>(
        loop, options, i, [this, i](const Status& status) { OnChannel(i, status); }));
  }
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    slots_[i].channel = i % connections;
    slots_[i].result.client = i;
    slots_[i].result.in_session = KeepsSession(i, options.sessions);
    idle_[i % connections].push_back(i);
  }
}

Engine::~Engine() {
  loop_.Forget(*this);
  if (tick_ != 0) loop_.Cancel(tick_);
}

void Engine::Connect(std::function<void(const Status&)> done) {
  connected_ = std::move(done);
  connecting_ = channels_.size();
  for (auto& channel : channels_) channel->Connect();
}

void Engine::OnChannel(std::uint32_t, const Status& status) {
  if (connected_ && (!status.ok() || --connecting_ == 0)) {
    std::exchange(connected_, nullptr)(status);
    return;
  }
  if (!status.ok()) ++reconnects_;
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void Engine::Start(OpSource& source, OpListener& listener, double rate,
                   std::function<void()> done) {
  source_ = &source;
  listener_ = &listener;
  done_ = std::move(done);
  stopping_ = exhausted_ = false;
  rate_ = rate;
  started_ = loop_.Refresh();
  issued_ = 0;
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void Engine::Stop() {
  stopping_ = true;
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void Engine::OnTurn(Time now) {
  if (source_ == nullptr) return;
  Time intended = now;
  std::uint32_t slot = 0;
  while (!stopping_ && Due(now, intended) && TakeIdle(slot)) {
    if (Issue(slot, intended, now)) continue;
    idle_[slots_[slot].channel].push_back(slot);
    break;
  }
  if (rate_ > 0 && !stopping_) ArmTick(now);
  CheckDone();
}

bool Engine::Due(Time now, Time& intended) {
  if (rate_ <= 0) return true;
  intended = started_ + static_cast<Time>(static_cast<double>(issued_) * (1e6 / rate_));
  return intended <= now;
}

// The next channel in turn that has a free place and stands.
bool Engine::TakeIdle(std::uint32_t& slot) {
  for (std::size_t tried = 0; tried < channels_.size(); ++tried) {
    next_channel_ = (next_channel_ + 1) % static_cast<std::uint32_t>(channels_.size());
    auto& idle = idle_[next_channel_];
    if (idle.empty() || !channels_[next_channel_]->usable()) continue;
    slot = idle.back();
    idle.pop_back();
    return true;
  }
  return false;
}

// False: the source has nothing.
bool Engine::Issue(std::uint32_t index, Time intended, Time now) {
  Slot& slot = slots_[index];
  exhausted_ = !source_->Next(slot.op);
  if (exhausted_) return false;
  Op& op = slot.op;
  ++issued_;
  op.intended = intended;
  op.invoke = now;
  slot.replied = false;
  slot.value_id.clear();
  OpResult& result = slot.result;
  result.outcome = Outcome::kOk;
  result.revision = result.mod_revision = result.min_revision = 0;
  result.found = false;
  Channel& channel = *channels_[slot.channel];
  const std::string_view key = names_.Name(op.key);
  bool sent = false;
  if (op.kind == OpKind::kPut) {
    op.sequence = sequence_++;
    sent_at_[op.sequence % sent_at_.size()] = now;
    EncodePut(request_, key, values_.Make(key, op.sequence));
    sent = channel.Put(request_, index, *this);
  } else {
    EncodeGet(request_, key, options_.etcd && op.mode == ReadMode::kSerializable);
    const Revision session = result.in_session ? slot.seen : 0;
    result.min_revision = std::max(options_.min_revision, session);
    sent = channel.Get(op.mode, session > 0 ? result.min_revision : 0, request_, index, *this);
  }
  ++in_flight_;
  if (!sent) {
    result.outcome = Outcome::kNotSent;
    OnFinish(index, MakeStatus(StatusCode::kUnavailable, "not sent"));
  }
  return true;
}

void Engine::OnMessage(std::uint64_t tag, std::string_view message) {
  Slot& slot = slots_[tag];
  slot.replied = true;
  Scan(slot, message);
}

void Engine::Scan(Slot& slot, std::string_view message) {
  OpResult& result = slot.result;
  if (slot.op.kind == OpKind::kPut) {
    if (!ScanPutReply(message, result.revision) || result.revision == 0) {
      result.outcome = Outcome::kWrong;
    }
    return;
  }
  RangeReply reply;
  if (!ScanRangeReply(message, reply) || reply.kvs > 1 || reply.revision == 0) {
    result.outcome = Outcome::kWrong;
    return;
  }
  result.revision = reply.revision;
  result.found = reply.kvs == 1;
  if (!result.found) return;
  const std::string_view key = names_.Name(slot.op.key);
  result.mod_revision = reply.kv.mod_revision;
  if (reply.kv.key != key || !Values::BelongsTo(reply.kv.value, key)) {
    result.outcome = Outcome::kWrong;
  } else if (!options_.record_path.empty()) {
    slot.value_id = Values::IdOf(reply.kv.value, key);
  }
}

void Engine::OnFinish(std::uint64_t tag, const Status& status) {
  const auto index = static_cast<std::uint32_t>(tag);
  Slot& slot = slots_[index];
  OpResult& result = slot.result;
  result.status = status;
  result.end = clock_.Now();
  result.value_id = slot.value_id;
  if (!status.ok()) {
    if (result.outcome != Outcome::kNotSent) result.outcome = Outcome::kError;
  } else if (!slot.replied) {
    result.outcome = Outcome::kWrong;
  }
  slot.seen = std::max(slot.seen, result.revision);
  --in_flight_;
  listener_->OnOp(slot.op, result);
  if (status.ok()) {
    Release(index);
  } else {
    Rest(index);
  }
}

void Engine::Rest(std::uint32_t slot) {
  ++resting_;
  loop_.RunAt(loop_.now() + kRestAfterError, [this, slot] {
    --resting_;
    Release(slot);
  });
}

void Engine::Release(std::uint32_t slot) {
  idle_[slots_[slot].channel].push_back(slot);
  loop_.Wake(*this, io::Loop::Phase::kCore);
}

void Engine::ArmTick(Time now) {
  if (tick_ != 0) return;
  Time next = 0;
  Due(now, next);
  tick_ = loop_.RunAt(std::max(next, now + kTickMin), [this] {
    tick_ = 0;
    loop_.Wake(*this, io::Loop::Phase::kCore);
  });
}

void Engine::CheckDone() {
  if (in_flight_ > 0 || resting_ > 0 || !(stopping_ || exhausted_)) return;
  source_ = nullptr;
  if (tick_ != 0) loop_.Cancel(std::exchange(tick_, 0));
  std::exchange(done_, nullptr)();
}

}  // namespace coppice::loadgen
