#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/coding.h"
#include "common/mvcc/watch_source.h"

// For tests of watch streams: a source that the test plays, and requests as clients send them.
namespace coppice::api {

// Its test says when a watcher may open, and how far each is complete.
class FakeSource final : public mvcc::WatchSource {
 public:
  struct Entry {
    std::unique_ptr<mvcc::Watcher> watcher;
    mvcc::WatchSpec spec;
    bool open = false;
    Revision complete = -1;  // -1: revision_
  };
  ~FakeSource() override { EXPECT_THAT(entries, testing::IsEmpty()) << "every watcher is closed"; }

  mvcc::Watcher* Prepare(const mvcc::WatchSpec& spec, mvcc::WatchSink& sink) override {
    entries.push_back({std::make_unique<mvcc::Watcher>(sink), spec});
    return entries.back().watcher.get();
  }
  bool TryOpen(mvcc::Watcher& watcher) override {
    Entry& entry = Find(watcher);
    if (hold || revision_ < std::max(entry.spec.min_revision, watcher.sink->floor)) return false;
    entry.open = true;
    watcher.sink->OnOpened(watcher, revision_);
    return true;
  }
  void Close(mvcc::Watcher& watcher) override {
    std::erase_if(entries, [&](const Entry& e) { return e.watcher.get() == &watcher; });
  }
  void Drained(mvcc::WatchSink&) override { ++drained; }
  Revision Complete(const mvcc::Watcher& watcher) const override {
    for (const Entry& e : entries) {
      if (e.watcher.get() == &watcher) return e.complete < 0 ? revision_ : e.complete;
    }
    return 0;
  }
  Revision revision() const override { return revision_; }

  Entry& Find(const mvcc::Watcher& watcher) {
    return *std::find_if(entries.begin(), entries.end(),
                         [&](const Entry& e) { return e.watcher.get() == &watcher; });
  }
  Entry& ById(std::int64_t id) {
    return *std::find_if(entries.begin(), entries.end(),
                         [&](const Entry& e) { return e.open && e.watcher->id == id; });
  }
  void Emit(std::int64_t id, Revision revision, const std::vector<std::string>& events) {
    auto encoded = std::make_shared<mvcc::EncodedEvents>();
    encoded->revision = revision;
    for (const std::string& event : events) {
      PutBytesField(encoded->bytes, 11, event);
      encoded->ends.push_back(static_cast<std::uint32_t>(encoded->bytes.size()));
    }
    mvcc::Watcher& watcher = *ById(id).watcher;
    watcher.sink->OnEvents(watcher, encoded);
  }
  void Cancel(std::int64_t id, Revision compact, std::string_view reason) {
    mvcc::Watcher& watcher = *ById(id).watcher;
    watcher.sink->OnCanceled(watcher, compact, reason);
    Close(watcher);
  }

  std::vector<Entry> entries;
  Revision revision_ = 10;
  bool hold = false;
  int drained = 0;
};

struct CreateFields {
  std::string key = "k";
  std::string range_end{};
  Revision start = 0;
  std::int64_t id = 0;
  bool notify = false;
  bool fragment = false;
  bool prev_kv = false;
  std::vector<int> filters{};
};

inline std::string CreateMessage(const CreateFields& f) {
  std::string create;
  PutBytesField(create, 1, f.key);
  PutBytesField(create, 2, f.range_end);
  PutIntField(create, 3, static_cast<std::uint64_t>(f.start));
  PutIntField(create, 4, f.notify ? 1 : 0);
  if (!f.filters.empty()) {
    std::string packed;
    for (const int filter : f.filters) PutVarint(packed, static_cast<std::uint64_t>(filter));
    PutBytesField(create, 5, packed);
  }
  PutIntField(create, 6, f.prev_kv ? 1 : 0);
  PutIntField(create, 7, static_cast<std::uint64_t>(f.id));
  PutIntField(create, 8, f.fragment ? 1 : 0);
  std::string message;
  PutBytesField(message, 1, create);
  return message;
}

inline std::string CancelMessage(std::int64_t id) {
  std::string cancel;
  PutIntField(cancel, 1, static_cast<std::uint64_t>(id));
  std::string message("\x12", 1);
  PutVarint(message, cancel.size());
  return message + cancel;
}

inline const std::string kProgressMessage("\x1a\0", 2);

}  // namespace coppice::api
