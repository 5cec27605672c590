#pragma once

#include <string_view>
#include <vector>

#include "loadgen/sim/checks/checks.h"

// W13: a slow watcher never delays another (etcd issue 22264).
//
// Judged in quiet times alone: from kHealthyAfter after healing until clients begin nothing new. A
// revision that was first seen in them, by anybody, must be with every watch whose client reads
// within Evidence::delivery_max, whatever streams beside it are left unread.
namespace coppice::sim {

// When a stream's events are due.
class Promptness {
 public:
  Promptness(const Evidence& evidence, const StreamRecord& stream)
      : evidence_(evidence), stream_(stream) {}

  // By when an event of that revision must have reached a watch created at `created`; kNever: it is
  // not judged. A watch that was just created, and a client that just read nothing, may first have
  // to be given what they missed.
  Time Due(Time created, Revision revision) const;

 private:
  const Evidence& evidence_;
  const StreamRecord& stream_;
};

// Where and when streams were full: unread for so long in quiet times that their processes could
// hold no more for them.
class FullStreams {
 public:
  explicit FullStreams(const Evidence& evidence);

  // Whether an event of that key, first seen at `time`, went past another stream that was full, of
  // a watch of that key, at the same endpoint.
  bool Beside(const StreamRecord& stream, std::string_view key, Time time) const;

 private:
  struct Full {
    const StreamRecord* stream = nullptr;
    Time from = 0;
    Time to = 0;
  };
  void Add(const Evidence& evidence, const StreamRecord& stream, const Unread& unread);

  std::vector<Full> all_;
};

}  // namespace coppice::sim
