#pragma once

#include <variant>

#include "common/client/types.h"

namespace coppice::client {

// Where one watch stands, over all the streams that carry it: what to ask of the next one, and what
// of a reply is new. With `start` 0 it begins at the next revision, yet never at one that the
// session has already seen.
//
// Pure. Invariant: each event of its range after opened() is delivered exactly once and in order,
// those of one revision together, however often the stream breaks.
class WatchResume {
 public:
  WatchResume() = default;
  WatchResume(Revision start, Revision session) : next_(start), session_(session) {}

  struct Nothing {};
  struct Opened {
    Revision revision = 0;
  };
  struct Deliver {
    Revision from = 0;
    Revision through = 0;
  };
  struct Hold {};    // a fragment: keep its events until the last one has come
  struct Reopen {};  // the server gave it up for a reason that passes
  struct End {
    Status status;
    Revision compact_revision = 0;
  };
  using Step = std::variant<Nothing, Opened, Deliver, Hold, Reopen, End>;

  // A new stream was begun: fragments of the last one are void.
  void OnStream() { held_last_ = 0; }
  Step OnReply(const WatchReply& reply);

  // The start_revision to ask for; 0: from now on.
  Revision next() const { return next_; }
  bool opened() const { return opened_; }

 private:
  Step OnCanceled(const WatchReply& reply) const;
  Step OnCreated(const WatchReply& reply);

  Revision next_ = 0;  // the first revision that is not complete; 0: not known yet
  Revision session_ = 0;
  Revision held_last_ = 0;  // the last event among the fragments held; 0: none is held
  bool opened_ = false;
};

}  // namespace coppice::client
