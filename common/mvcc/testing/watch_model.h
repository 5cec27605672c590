#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/coding.h"
#include "common/mvcc/store.h"
#include "common/mvcc/watch_source.h"

// For tests of the watch path: a history, what a watcher must get of it, and how to read what it
// got. Links mvcc for Record.
namespace coppice::mvcc {

struct ModelEvent {
  Revision revision = 0;
  bool is_delete = false;
  std::string key;
  std::string value;
  Revision create_revision = 0;
  std::string prev_value;  // "" if none or not asked for

  bool operator==(const ModelEvent&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const ModelEvent& e) {
    return out << e.revision << (e.is_delete ? " del " : " put ") << e.key << "=" << e.value
               << " created " << e.create_revision << " was " << e.prev_value;
  }
};

// The committed history: what every watcher's events are compared with.
class WatchModel {
 public:
  struct Write {
    std::string key;
    std::optional<std::string> value;  // none: delete; of an absent key it is left out
  };

  // One revision; null if nothing changed.
  EventBatchPtr Commit(const std::vector<Write>& writes) {
    auto batch = std::make_shared<EventBatch>();
    batch->revision = revision() + 1;
    std::uint32_t sub = 0;
    for (const Write& write : writes) AddWrite(write, {batch->revision, sub++}, *batch);
    if (batch->events.empty()) return nullptr;
    batches_.push_back(batch);
    return batch;
  }

  Revision revision() const { return 1 + static_cast<Revision>(batches_.size()); }
  // At most `max` batches of [from, revision()].
  std::vector<EventBatchPtr> From(Revision from, std::size_t max) const {
    std::vector<EventBatchPtr> out;
    for (Revision r = std::max<Revision>(from, 2); r <= revision() && out.size() < max; ++r) {
      out.push_back(batches_[static_cast<std::size_t>(r - 2)]);
    }
    return out;
  }

  // What a watcher that starts at `start` has got once it has everything through `to`.
  std::vector<ModelEvent> Expected(const WatchSpec& spec, Revision start, Revision to) const {
    std::vector<ModelEvent> out;
    for (const EventBatchPtr& batch : batches_) {
      if (batch->revision < start || batch->revision > to) continue;
      for (const Event& event : batch->events) {
        const bool is_delete = event.record->tombstone();
        if (!spec.range.Contains(event.record->key())) continue;
        if (is_delete ? spec.filters.no_delete : spec.filters.no_put) continue;
        out.push_back({batch->revision, is_delete, std::string(event.record->key()),
                       std::string(event.record->value()), event.record->create_revision(),
                       spec.prev_kv && event.prev ? std::string(event.prev->value()) : ""});
      }
    }
    return out;
  }

 private:
  void AddWrite(const Write& write, RowId id, EventBatch& batch) {
    RecordPtr& current = latest_[write.key];
    const RecordPtr prev = current;
    if (!write.value.has_value()) {
      if (!prev) return;
      batch.events.push_back({Record::MakeTombstone(write.key, id), prev});
      current = nullptr;
      return;
    }
    current = Record::Make({.key = write.key,
                            .value = *write.value,
                            .create = prev ? prev->create_revision() : id.main,
                            .id = id,
                            .version = prev ? prev->version() + 1 : 1});
    batch.events.push_back({current, prev});
  }

  std::map<std::string, RecordPtr> latest_;
  std::vector<EventBatchPtr> batches_;  // [i] is revision i + 2
};

inline void DecodeKeyValue(std::string_view bytes, ModelEvent& out) {
  WireReader in(bytes);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    std::uint64_t number = 0;
    std::string_view view;
    COPPICE_CHECK(in.Tag(field, type));
    COPPICE_CHECK(type == WireType::kVarint ? in.Varint(number) : in.Bytes(view));
    if (field == 1) out.key = view;
    if (field == 2) out.create_revision = static_cast<Revision>(number);
    if (field == 3) out.revision = static_cast<Revision>(number);
    if (field == 5) out.value = view;
  }
}

// One mvccpb.Event.
inline ModelEvent DecodeEvent(std::string_view bytes) {
  ModelEvent out;
  WireReader in(bytes);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    std::uint64_t number = 0;
    std::string_view view;
    COPPICE_CHECK(in.Tag(field, type));
    COPPICE_CHECK(type == WireType::kVarint ? in.Varint(number) : in.Bytes(view));
    if (field == 1) out.is_delete = number == 1;
    if (field == 2) DecodeKeyValue(view, out);
    if (field == 3) {
      ModelEvent prev;
      DecodeKeyValue(view, prev);
      out.prev_value = prev.value;
    }
  }
  return out;
}

inline std::vector<ModelEvent> DecodeEvents(const EncodedEvents& events) {
  std::vector<ModelEvent> out;
  WireReader in(events.bytes);
  while (!in.done()) {
    std::uint32_t field = 0;
    WireType type{};
    std::string_view event;
    COPPICE_CHECK(in.Tag(field, type) && field == 11 && in.Bytes(event));
    out.push_back(DecodeEvent(event));
    COPPICE_CHECK(out.back().is_delete == events.is_delete(out.size() - 1));
    COPPICE_CHECK(out.back().revision == events.revision);
  }
  COPPICE_CHECK(out.size() == events.size());
  return out;
}

}  // namespace coppice::mvcc
