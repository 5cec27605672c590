#include "loadgen/channel.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "loadgen/wire.h"

namespace coppice::loadgen {
namespace {

constexpr Micros kRetryAfter = 50 * kMillisecond;
constexpr std::string_view kMinRevision = "coppice-min-revision";

// What a read in `mode` carries. A linearizable one is what servers do unasked.
std::vector<rpc::Header> Metadata(const Options& options, ReadMode mode, bool in_session) {
  std::vector<rpc::Header> metadata;
  if (options.etcd) return metadata;
  if (mode != ReadMode::kLinearizable) {
    metadata.emplace_back("coppice-consistency", ModeName(mode));
  }
  if (mode == ReadMode::kBounded) {
    metadata.emplace_back("coppice-max-staleness", fmt::format("{}us", options.max_staleness));
  }
  if (options.min_revision > 0 || in_session) {
    metadata.emplace_back(kMinRevision, std::to_string(options.min_revision));
  }
  return metadata;
}

}  // namespace

Channel::Channel(io::Loop& loop, const Options& options, std::size_t first,
                 std::function<void(const Status&)> on_state)
    : loop_(loop), options_(options), target_(first), on_state_(std::move(on_state)) {}

Channel::~Channel() {
  if (retry_ != 0) loop_.Cancel(retry_);
}

void Channel::Connect() {
  connection_ = std::make_unique<rpc::ClientConnection>(loop_);
  Prepare();
  connection_->Connect(target().host, target().port,
                       [this](const Status& status) { OnState(status); });
}

void Channel::Prepare() {
  put_ = connection_->Prepare(kPutPath, {}, options_.timeout);
  for (const ReadMode mode :
       {ReadMode::kLinearizable, ReadMode::kBounded, ReadMode::kSerializable}) {
    const auto prepare = [&](bool in_session) {
      return connection_->Prepare(kRangePath, Metadata(options_, mode, in_session),
                                  options_.timeout);
    };
    get_[static_cast<std::size_t>(mode)] = prepare(false);
    get_in_session_[static_cast<std::size_t>(mode)] = prepare(true);
  }
  watch_ = connection_->Prepare(kWatchPath, {});
}

void Channel::OnState(const Status& status) {
  connected_ = status.ok();
  if (!connected_ && retry_ == 0) {
    retry_ = loop_.RunAt(loop_.now() + kRetryAfter, [this] { Retry(); });
  }
  on_state_(status);
}

void Channel::Retry() {
  retry_ = 0;
  ++target_;
  Connect();
}

bool Channel::Put(std::string_view message, std::uint64_t tag, Observer& observer) {
  return connected_ && connection_->Unary(put_, message, tag, observer) >= 0;
}

bool Channel::Get(ReadMode mode, Revision session, std::string_view message, std::uint64_t tag,
                  Observer& observer) {
  if (!connected_) return false;
  auto headers = get_[static_cast<std::size_t>(mode)];
  if (session > 0) {
    headers = get_in_session_[static_cast<std::size_t>(mode)];
    connection_->Set(headers, kMinRevision, std::to_string(session));
  }
  return connection_->Unary(headers, message, tag, observer) >= 0;
}

Channel::CallHandle Channel::Watch(std::uint64_t tag, Observer& observer) {
  return connected_ ? connection_->Stream(watch_, tag, observer) : -1;
}

}  // namespace coppice::loadgen
