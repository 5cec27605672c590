#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/rng.h"
#include "common/io/loop.h"
#include "common/io/transport.h"

namespace coppice::node {

// Keeps one connection to one address: dials, and dials again after a loss, with a pause that
// doubles up to `pause_max`. Destroying it closes the connection; no callback follows. Thread: its
// loop's.
class Link {
 public:
  struct Hooks {
    std::function<void(io::Connection&)> up;
    std::function<void(const io::Frame&)> frame;
    std::function<void(const Status&)> down;    // after up
    std::function<void(const Status&)> failed;  // a dial that did not end in up
    std::function<void()> writable;
  };
  struct Options {
    std::string host;
    std::uint16_t port = 0;
    io::ConnectionClass connection_class = io::ConnectionClass::kRequest;
    Micros pause_min = 20 * kMillisecond;
    Micros pause_max = 1 * kSecond;
    bool redial = true;
  };

  Link(io::Loop& loop, io::Transport& transport, Options options, Hooks hooks, Rng rng);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void Start();
  io::Connection* connection() const;  // null while it is down
  const Options& options() const;
  void Close(const Status& reason);  // redials, if that was asked for

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // pending dials hold it too
};

}  // namespace coppice::node
