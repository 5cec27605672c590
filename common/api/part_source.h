#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "common/base/consistency.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace coppice::api {

// What a reply's trailers say (coppice-served-by, -consistency, -staleness), and what proxies learn
// from it.
struct Served {
  NodeId by;
  ReadMode mode = ReadMode::kLinearizable;
  Micros staleness = -1;          // measured; -1 = not a read
  Revision compact_revision = 0;  // of the view that a read was served from; 0 = not a read
};

// The bytes of a large answer, made or arriving as they are taken, so that whoever takes them sets
// the pace. Destroying it says that nobody takes the rest. Thread: the request's loop's.
class PartSource {
 public:
  enum class Next : std::uint8_t {
    kMore,  // take again
    kWait,  // nothing now; what SetReady was given is called when there is
    kEnd,   // those were the last
    kLost,  // the rest never comes: status() says why
  };
  virtual ~PartSource() = default;
  // Appends what comes next to `out`: about 64 KiB where it is made here, up to a stream's credit
  // where it arrives. Not after kEnd or kLost.
  virtual Next Take(std::string& out) = 0;
  // Before the first Take. `ready` is never called from within Take, and may destroy the source.
  virtual void SetReady(std::function<void()> ready) = 0;
  virtual Served served() const = 0;  // after kEnd
  virtual Status status() const = 0;  // after kLost
};

// Parts that are made here: `next` appends to its argument and returns false after the last.
class MadeParts final : public PartSource {
 public:
  MadeParts(std::function<bool(std::string&)> next, const Served& served)
      : next_(std::move(next)), served_(served) {}
  Next Take(std::string& out) override { return next_(out) ? Next::kMore : Next::kEnd; }
  void SetReady(std::function<void()> /*ready*/) override {}
  Served served() const override { return served_; }
  Status status() const override { return OkStatus(); }

 private:
  std::function<bool(std::string&)> next_;
  const Served served_;
};

}  // namespace coppice::api
