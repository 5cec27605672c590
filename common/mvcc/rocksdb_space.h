#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "rocksdb/file_system.h"

namespace coppice::mvcc {

// Lets writes to a full disk wait for space, as they wait for a disk that is slow, instead of
// failing: RocksDB (7.8) does not always come back from such an error; what it begins in order to
// recover may wait for a flush that nobody runs. Any thread.
class SpaceWait {
 public:
  // `attempt` until it ends in something else than no space. Before Begin: once. A wait that End
  // ends, and each one after it, fails as Busy.
  rocksdb::IOStatus Retry(const std::function<rocksdb::IOStatus()>& attempt);
  bool waiting() const;  // somebody is
  void Begin();
  void End();

 private:
  enum class State { kBefore, kWaits, kEnded };

  mutable std::mutex mutex_;  // protects all of it
  std::condition_variable changed_;
  State state_ = State::kBefore;
  int waiting_ = 0;
};

// `target`, of which files that are written anew wait for space. It has to keep what
// PositionedAppend wrote again at the same place. A sync that finds no space is an error like any
// other that leaves it open what is on the disk.
std::shared_ptr<rocksdb::FileSystem> WaitForSpace(std::shared_ptr<rocksdb::FileSystem> target,
                                                  std::shared_ptr<SpaceWait> wait);

}  // namespace coppice::mvcc
