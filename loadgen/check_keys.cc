#include "loadgen/check_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/base/rng.h"

namespace coppice::loadgen {
namespace {

constexpr std::uint64_t kAbsent = 0;  // a register's value is the number of its write, from 1 on

struct Operation {
  bool is_write = false;
  std::uint64_t value = kAbsent;
  Time invoke = 0;
  Time end = 0;  // kNever: it may have happened at any time since, or not at all
  const Record* record = nullptr;
};

// The set of operations placed so far, as the sum of their 128-bit marks; with the register's value
// it names a state of the search.
struct Mark {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  bool operator==(const Mark&) const = default;
};
struct MarkHash {
  std::size_t operator()(const Mark& mark) const { return mark.a; }
};

Mark StateOf(const Mark& placed, std::uint64_t value) {
  return {Mix64(placed.a ^ Mix64(value)), Mix64(placed.b + 3 * value + 1)};
}

enum class Verdict : std::uint8_t { kLinearizable, kNot, kTooLong };

class Search {
 public:
  Search(const std::vector<Operation>& operations, std::uint64_t steps_max)
      : operations_(operations), steps_max_(steps_max) {
    std::vector<std::pair<std::pair<Time, int>, std::size_t>> points;
    for (std::size_t i = 0; i < operations.size(); ++i) {
      // At one time, calls come first: the two overlap.
      points.push_back({{operations[i].invoke, 0}, 2 * i});
      points.push_back({{operations[i].end, 1}, 2 * i + 1});
      required_ += operations[i].end != kNever ? 1 : 0;
    }
    std::sort(points.begin(), points.end());
    next_.resize(2 * operations.size() + 1);
    previous_.resize(next_.size());
    const std::size_t head = 2 * operations.size();
    std::size_t last = head;
    for (const auto& [time, point] : points) Link(std::exchange(last, point), point);
    Link(last, head);
  }

  Verdict Run() {
    const std::size_t head = next_.size() - 1;
    std::size_t at = next_[head];
    while (required_ != 0) {
      if (++steps_ > steps_max_) return Verdict::kTooLong;
      const bool is_return = at == head || at % 2 == 1;
      if (!is_return && Place(at / 2)) {
        at = next_[head];
        continue;
      }
      if (!is_return) {
        at = next_[at];
        continue;
      }
      // Whatever was tried, this operation had to come before its return.
      if (placed_.empty()) return Verdict::kNot;
      at = next_[Undo() * 2];
    }
    return Verdict::kLinearizable;
  }

  // The deepest that the search got: what it could not place then.
  const Record* stuck_at() const {
    return deepest_ < operations_.size() ? operations_[deepest_].record : nullptr;
  }

 private:
  void Link(std::size_t a, std::size_t b) {
    next_[a] = b;
    previous_[b] = a;
  }
  void Lift(std::size_t point) { Link(previous_[point], next_[point]); }
  void Unlift(std::size_t point) { next_[previous_[point]] = previous_[next_[point]] = point; }

  static Mark MarkOf(std::size_t i) { return {Mix64(2 * i + 1), Mix64(~(2 * i))}; }

  bool Place(std::size_t i) {
    const Operation& operation = operations_[i];
    if (!operation.is_write && operation.value != value_) return false;
    const std::uint64_t value = operation.is_write ? operation.value : value_;
    const Mark mark = MarkOf(i);
    const Mark placed = {mark_.a + mark.a, mark_.b + mark.b};
    if (!seen_.insert(StateOf(placed, value)).second) return false;
    placed_.emplace_back(i, value_);
    required_ -= operation.end != kNever ? 1 : 0;
    mark_ = placed;
    value_ = value;
    Lift(2 * i);
    Lift(2 * i + 1);
    if (placed_.size() > most_) {
      most_ = placed_.size();
      deepest_ = next_.back() == next_.size() - 1 ? operations_.size() : next_.back() / 2;
    }
    return true;
  }

  std::size_t Undo() {
    const auto [i, value] = placed_.back();
    placed_.pop_back();
    required_ += operations_[i].end != kNever ? 1 : 0;
    const Mark mark = MarkOf(i);
    mark_ = {mark_.a - mark.a, mark_.b - mark.b};
    value_ = value;
    Unlift(2 * i + 1);
    Unlift(2 * i);
    return i;
  }

  const std::vector<Operation>& operations_;
  const std::uint64_t steps_max_;
  std::uint64_t steps_ = 0;
  std::size_t required_ = 0;  // operations that have to be placed still
  // Calls (2 i) and returns (2 i + 1) in order of time, as a ring through the head.
  std::vector<std::size_t> next_;
  std::vector<std::size_t> previous_;
  std::vector<std::pair<std::size_t, std::uint64_t>> placed_;  // and the value before
  std::unordered_set<Mark, MarkHash> seen_;
  Mark mark_;
  std::uint64_t value_ = kAbsent;
  std::size_t most_ = 0;
  std::size_t deepest_ = 0;
};

// One key's operations. A write of unknown outcome that no linearizable read saw is left out: an
// order with it is an order without it. One that was seen happened before that read returned,
// unless others wrote the same value.
std::vector<Operation> OperationsOf(const std::vector<const Record*>& records) {
  std::unordered_map<std::string_view, std::uint64_t> numbers;
  std::unordered_map<std::uint64_t, Time> seen_at;
  std::unordered_map<std::uint64_t, int> writers;
  for (const Record* record : records) {
    if (record->kind != RecordKind::kPut) continue;
    ++writers[numbers.emplace(*record->value, numbers.size() + 1).first->second];
  }
  std::vector<Operation> operations;
  for (const Record* record : records) {
    if (record->kind != RecordKind::kGet) continue;
    std::uint64_t value = kAbsent;
    if (record->value) {
      // A value that nobody wrote gets a number that no write has.
      value = numbers.emplace(*record->value, numbers.size() + 1).first->second;
      const auto [first, is_new] = seen_at.emplace(value, record->end);
      if (!is_new) first->second = std::min(first->second, record->end);
    }
    operations.push_back({false, value, record->invoke, record->end, record});
  }
  for (const Record* record : records) {
    const bool done = record->outcome == RecordOutcome::kOk;
    if (record->kind == RecordKind::kDelete && record->outcome != RecordOutcome::kFail) {
      // Nothing shows whose delete it was that a read saw.
      operations.push_back({true, kAbsent, record->invoke, done ? record->end : kNever, record});
    }
    if (record->kind != RecordKind::kPut) continue;
    const std::uint64_t value = numbers[*record->value];
    const auto seen = seen_at.find(value);
    if (done) {
      operations.push_back({true, value, record->invoke, record->end, record});
    } else if (record->outcome == RecordOutcome::kUnknown && seen != seen_at.end()) {
      const Time end = writers[value] == 1 ? seen->second : kNever;
      operations.push_back({true, value, record->invoke, end, record});
    }
  }
  return operations;
}

}  // namespace

void CheckKeys(const History& history, std::uint64_t steps_max, CheckReport& report) {
  std::map<std::string_view, std::vector<const Record*>> keys;
  for (const Record& record : history) {
    const bool is_put = record.kind == RecordKind::kPut && record.value;
    const bool is_read = record.kind == RecordKind::kGet && record.outcome == RecordOutcome::kOk &&
                         record.mode == ReadMode::kLinearizable;
    const bool is_delete = record.kind == RecordKind::kDelete;
    if (is_put || is_read || is_delete) keys[record.key].push_back(&record);
  }
  report.keys = keys.size();
  for (const auto& [key, records] : keys) {
    const std::vector<Operation> operations = OperationsOf(records);
    Search search(operations, steps_max);
    const Verdict verdict = search.Run();
    if (verdict == Verdict::kLinearizable) continue;
    const Record* stuck = search.stuck_at();
    report.Add(verdict == Verdict::kNot ? "not-linearizable" : "search-too-long",
               fmt::format("key {}, {} operations, around {}", key, operations.size(),
                           stuck == nullptr ? "its end" : FormatRecord(*stuck)));
  }
}

}  // namespace coppice::loadgen
