#include "common/node/link.h"

#include <algorithm>
#include <utility>

namespace coppice::node {

class Link::Impl final : public io::ConnectionHandler, public std::enable_shared_from_this<Impl> {
 public:
  Impl(io::Loop& loop, io::Transport& transport, Options options, Hooks hooks, Rng rng)
      : loop(loop),
        transport(transport),
        options(std::move(options)),
        hooks(std::move(hooks)),
        rng(rng),
        pause(this->options.pause_min) {}

  void Dial() {
    timer = 0;
    self = shared_from_this();  // until the dial has ended one way or the other
    transport.Dial(options.host, options.port, options.connection_class, *this,
                   [this](const io::DialFailure& failure) {
                     const auto keep = std::move(self);
                     if (stopped) return;
                     if (hooks.failed) hooks.failed(failure.status);
                     if (!stopped && options.redial) Later();
                   });
  }

  void Stop() {
    stopped = true;
    if (timer != 0) loop.Cancel(timer);
    if (connection != nullptr) {
      connection->Close(MakeStatus(StatusCode::kCancelled, "not needed any more"));
    }
  }

  void OnOpen(io::Connection& opened) override {
    connection = &opened;
    if (stopped) return opened.Close(MakeStatus(StatusCode::kCancelled, "not needed any more"));
    pause = options.pause_min;
    if (hooks.up) hooks.up(opened);
  }
  void OnFrame(io::Connection& /*connection*/, const io::Frame& frame) override {
    if (!stopped && hooks.frame) hooks.frame(frame);
  }
  void OnWritable(io::Connection& /*connection*/) override {
    if (!stopped && hooks.writable) hooks.writable();
  }
  void OnClosed(io::Connection& /*connection*/, const Status& reason) override {
    const auto keep = std::move(self);
    connection = nullptr;
    if (stopped) return;
    if (hooks.down) hooks.down(reason);
    if (!stopped && options.redial) Later();
  }

  void Later() {
    const auto jitter = static_cast<Micros>(rng.Below(static_cast<std::uint64_t>(pause)));
    timer = loop.RunAt(loop.now() + pause / 2 + jitter, [keep = shared_from_this()] {
      if (!keep->stopped) keep->Dial();
    });
    pause = std::min(pause * 2, options.pause_max);
  }

  io::Loop& loop;
  io::Transport& transport;
  const Options options;
  Hooks hooks;
  Rng rng;
  std::shared_ptr<Impl> self;
  io::Connection* connection = nullptr;
  Micros pause;
  io::Loop::TimerId timer = 0;
  bool stopped = false;
};

Link::Link(io::Loop& loop, io::Transport& transport, Options options, Hooks hooks, Rng rng)
    : impl_(std::make_shared<Impl>(loop, transport, std::move(options), std::move(hooks), rng)) {}

Link::~Link() {
  impl_->Stop();
}

void Link::Start() {
  impl_->Dial();
}

io::Connection* Link::connection() const {
  return impl_->connection;
}

const Link::Options& Link::options() const {
  return impl_->options;
}

void Link::Close(const Status& reason) {
  if (impl_->connection != nullptr) impl_->connection->Close(reason);
}

}  // namespace coppice::node
