#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/mvcc/testing/watch_model.h"
#include "common/mvcc/watch_source.h"

namespace coppice::proxy {

// For tests: one watcher's sink, which notes what it is given, and expects what any sink may.
struct TestSink final : mvcc::WatchSink {
  void OnReady(mvcc::Watcher&) override { ready = true; }
  void OnOpened(mvcc::Watcher&, Revision at) override {
    opened_at = at;
    if (spec.start == 0) {
      EXPECT_GE(at, floor);
    }
    EXPECT_GE(at, spec.min_revision);
    start = spec.start == 0 ? at + 1 : spec.start;
    floor = std::max(floor, at);
  }
  void OnEvents(mvcc::Watcher&, const mvcc::EncodedEventsPtr& encoded) override {
    EXPECT_TRUE(writable);
    EXPECT_NE(opened_at, 0);
    EXPECT_GT(encoded->revision, last_revision) << "ascending, a revision never split";
    last_revision = encoded->revision;
    floor = std::max(floor, last_revision);
    shared = encoded;
    for (mvcc::ModelEvent& event : mvcc::DecodeEvents(*encoded)) events.push_back(std::move(event));
    if (--room == 0) writable = false;
  }
  void OnCanceled(mvcc::Watcher&, Revision compact, std::string_view) override {
    canceled = true;
    compact_revision = compact;
    watcher = nullptr;
  }
  std::vector<std::string> Values() const {
    std::vector<std::string> out;
    for (const mvcc::ModelEvent& event : events) out.push_back(event.value);
    return out;
  }

  mvcc::WatchSpec spec;
  Revision start = 0;
  mvcc::Watcher* watcher = nullptr;
  std::vector<mvcc::ModelEvent> events;
  mvcc::EncodedEventsPtr shared;
  Revision opened_at = 0;
  Revision last_revision = 0;
  Revision compact_revision = -1;
  std::uint64_t room = UINT64_MAX;
  bool ready = false;
  bool canceled = false;
};

}  // namespace coppice::proxy
