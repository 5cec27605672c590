#include "loadgen/run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "common/io/loop.h"
#include "loadgen/cpu.h"
#include "loadgen/engine.h"
#include "loadgen/history.h"
#include "loadgen/watchers.h"
#include "loadgen/workload.h"

namespace coppice::loadgen {
namespace {

constexpr Micros kCatchUpMax = 30 * kSecond;  // for watches, once the load has ended
constexpr Micros kSweepStallMax = 15 * kSecond;
constexpr std::size_t kErrorKindsMax = 20;

std::size_t SeriesOf(const Op& op) {
  return op.kind == OpKind::kPut ? 0 : 1 + static_cast<std::size_t>(op.mode);
}

std::uint64_t RunId() {
  const io::SystemClock clock;
  return Mix64(static_cast<std::uint64_t>(clock.UnixMicros()) ^ static_cast<std::uint64_t>(getpid())
                                                                    << 40) &
         0xffffffff;
}

// The phases of a run, one after the other: connect, preload, where the watches start, watches,
// warm-up, measured load, and for watches and histories: a fence that each watch must see, a read
// of every key, the watches' end.
class Run final : public OpListener, public Watchers::Listener {
 public:
  Run(const Options& options, std::optional<HistoryWriter> history)
      : options_(options),
        loop_("loadgen"),
        run_id_(RunId()),
        engine_(loop_, options, Values(run_id_, options.value_size)),
        names_(options.prefix, options.keys, Distribution::kUniform, 0),
        mixed_(options),
        meter_(options.cpu_of),
        history_(std::move(history)) {
    if (options.watchers > 0) acknowledged_.resize(options.keys + 1);
  }

  StatusOr<RunResult> Execute() {
    engine_.Connect([this](const Status& status) {
      if (!status.ok()) return Fail(status);
      Preload();
    });
    loop_.Run();
    if (history_) COPPICE_RETURN_IF_ERROR(history_->Close());
    COPPICE_RETURN_IF_ERROR(failure_);
    return std::move(result_);
  }

  void OnOp(const Op& op, const OpResult& result) override {
    if (history_ && !preloading_) RecordOp(op, result);
    if (op.kind == OpKind::kPut && result.outcome == Outcome::kOk && !acknowledged_.empty()) {
      auto& last = acknowledged_[op.key];
      last = std::max(last, result.revision);
      acknowledged_max_ = std::max(acknowledged_max_, last);
    }
    if (sweep_) {
      if (result.outcome != Outcome::kOk) sweep_->Retry(op.key);
      if (!watchers_) start_revision_ = std::max(start_revision_, result.revision);
      CheckSweep(result);
    } else if (measuring_) {
      Count(op, result);
    }
  }

  void OnWatchEvent(std::uint64_t watcher, const EventView& event) override {
    if (history_) RecordEvent(watcher, event);
    const std::string_view id = Values::IdOf(event.kv.value, event.kv.key);
    const std::size_t dot = id.find('.');
    std::uint64_t run = 0;
    std::uint64_t sequence = 0;
    if (dot == std::string_view::npos) return;
    std::from_chars(id.data(), id.data() + dot, run, 16);
    std::from_chars(id.data() + dot + 1, id.data() + id.size(), sequence, 16);
    if (run != run_id_) return;
    watchers_->summary().latency.Add(clock_.Now() - engine_.SentAt(sequence));
  }

 private:
  void Fail(const Status& status) {
    failure_ = status;
    loop_.Stop();
  }

  // A sweep that gets nothing but errors for long ends the run.
  void CheckSweep(const OpResult& result) {
    if (result.outcome == Outcome::kOk) {
      swept_ = result.end;
    } else if (result.end - swept_ > kSweepStallMax && failure_.ok()) {
      Fail(result.status.ok() ? MakeStatus(StatusCode::kDataLoss, "replies are malformed")
                              : result.status);
    }
  }

  // Runs `source` to its end, each failed operation again, then `next`.
  void Sweep(OpKind kind, std::uint64_t first, std::uint64_t end, std::function<void()> next) {
    sweep_ = std::make_unique<SweepSource>(kind, first, end);
    swept_ = loop_.Refresh();
    engine_.Start(*sweep_, *this, 0, [this, next = std::move(next)] {
      sweep_.reset();
      next();
    });
  }

  void Preload() {
    if (!options_.preload) return FindStart();
    preloading_ = history_ == std::nullopt;
    if (!options_.quiet) fmt::print(stderr, "writing {} keys\n", options_.keys);
    Sweep(OpKind::kPut, 0, options_.keys, [this] {
      preloading_ = false;
      FindStart();
    });
  }

  // The revision before the load, known to be complete: a linearizable read's.
  void FindStart() {
    if (options_.watchers == 0) return WarmUp();
    start_revision_ = 0;
    Sweep(OpKind::kGet, names_.fence(), names_.fence() + 1, [this] { Watch(); });
  }

  void Watch() {
    watchers_.emplace(loop_, options_, start_revision_ + 1, *this);
    if (history_) RecordWatches(RecordKind::kWatch, start_revision_ + 1);
    watchers_->Start([this] { WarmUp(); });
  }

  void WarmUp() {
    engine_.Start(mixed_, *this, options_.rate, [this] { Fence(); });
    loop_.RunAt(loop_.now() + options_.warmup, [this] { Measure(); });
  }

  void Measure() {
    measuring_ = true;
    if (watchers_) watchers_->Measure();
    began_ = ticked_ = loop_.Refresh();
    meter_.Begin();
    loop_.RunAt(began_ + options_.duration, [this] { EndMeasure(); });
    loop_.RunAt(began_ + kSecond, [this] { Tick(); });
  }

  void EndMeasure() {
    result_.seconds = static_cast<double>(loop_.Refresh() - began_) / 1e6;
    result_.cpu = meter_.End();
    result_.reconnects = engine_.reconnects();
    if (watchers_) result_.watch = watchers_->summary();
    measuring_ = false;
    engine_.Stop();
  }

  void Fence() {
    if (!watchers_ && !history_) return loop_.Stop();
    Sweep(OpKind::kPut, names_.fence(), names_.fence() + 1, [this] {
      if (history_) {
        Sweep(OpKind::kGet, 0, options_.keys + 1, [this] { AwaitWatches(); });
      } else {
        AwaitWatches();
      }
    });
    give_up_ = loop_.now() + kCatchUpMax;
  }

  void AwaitWatches() {
    if (!watchers_) return loop_.Stop();
    const auto behind = CountBehind();
    if (behind > 0 && loop_.Refresh() < give_up_) {
      loop_.RunAt(loop_.now() + 20 * kMillisecond, [this] { AwaitWatches(); });
      return;
    }
    if (history_) RecordWatches(RecordKind::kWatchEnd, 0);
    const WatchSummary& end = watchers_->summary();
    // Faults count to the end, rates and latencies as measured.
    result_.watch.watchers = watchers_->watchers().size();
    result_.watch.behind = behind;
    result_.watch.gaps = end.gaps;
    result_.watch.repeats = end.repeats;
    result_.watch.wrong = end.wrong;
    result_.watch.canceled = end.canceled;
    result_.watch.resumed = end.resumed;
    loop_.Stop();
  }

  std::uint64_t CountBehind() const {
    std::uint64_t behind = 0;
    for (const auto& watcher : watchers_->watchers()) {
      const Revision wanted =
          watchers_->single_keys() ? acknowledged_[watcher.key] : acknowledged_max_;
      behind += watcher.last < wanted && wanted > start_revision_;
    }
    return behind;
  }

  void Count(const Op& op, const OpResult& result) {
    Series& series = result_.series[SeriesOf(op)];
    if (result.outcome == Outcome::kOk) {
      ++series.ok;
      series.missing += op.kind == OpKind::kGet && !result.found;
      series.latency.Add(result.end - op.intended);
      second_.Add(result.end - op.intended);
      return;
    }
    ++(result.outcome == Outcome::kWrong ? series.wrong : series.errors);
    const std::string message =
        result.outcome == Outcome::kWrong
            ? "a reply that is malformed or another key's"
            : fmt::format("{}: {}", absl::StatusCodeToString(result.status.code()),
                          MessageOf(result.status));
    if (result_.errors.size() < kErrorKindsMax || result_.errors.contains(message)) {
      ++result_.errors[message];
    }
  }

  void Tick() {
    if (!measuring_) return;
    const Time now = loop_.Refresh();
    const double seconds = static_cast<double>(now - ticked_) / 1e6;
    const std::uint64_t events = watchers_ ? watchers_->summary().events : 0;
    if (!options_.quiet) {
      fmt::print(stderr, "{:4} s {:>9.0f}/s  p50 {:.2f} ms  p99 {:.2f} ms  bad {}",
                 (now - began_) / kSecond, static_cast<double>(second_.count()) / seconds,
                 static_cast<double>(second_.Quantile(0.5)) / 1e3,
                 static_cast<double>(second_.Quantile(0.99)) / 1e3, result_.bad());
      if (watchers_) {
        fmt::print(stderr, "  events {:.0f}/s",
                   static_cast<double>(events - events_before_) / seconds);
      }
      fmt::print(stderr, "\n");
    }
    events_before_ = events;
    second_.Clear();
    ticked_ = now;
    loop_.RunAt(now + kSecond, [this] { Tick(); });
  }

  void RecordOp(const Op& op, const OpResult& result) {
    const bool is_put = op.kind == OpKind::kPut;
    Record record;
    record.kind = is_put ? RecordKind::kPut : RecordKind::kGet;
    record.client = result.client;
    record.invoke = op.invoke;
    record.end = result.end;
    record.key = names_.Name(op.key);
    record.mode = op.mode;
    record.session = result.in_session;
    if (result.outcome == Outcome::kOk || result.outcome == Outcome::kWrong) {
      record.revision = result.revision;
      record.mod_revision = is_put ? result.revision : result.mod_revision;
    } else {
      record.outcome = is_put && result.outcome == Outcome::kError ? RecordOutcome::kUnknown
                                                                   : RecordOutcome::kFail;
    }
    if (is_put) {
      record.value = Values(run_id_, 0).Id(op.sequence);
    } else {
      if (result.found) record.value = result.value_id;
      if (op.mode == ReadMode::kBounded) record.max_staleness = options_.max_staleness;
      record.min_revision = result.min_revision;
    }
    history_->Add(record);
  }

  void RecordEvent(std::uint64_t watcher, const EventView& event) {
    Record record;
    record.kind = RecordKind::kEvent;
    record.client = watcher;
    record.invoke = clock_.Now();
    record.key = event.kv.key;
    if (!event.is_delete) record.value = Values::IdOf(event.kv.value, event.kv.key);
    record.mod_revision = event.kv.mod_revision;
    history_->Add(record);
  }

  void RecordWatches(RecordKind kind, Revision revision) {
    for (std::size_t i = 0; i < watchers_->watchers().size(); ++i) {
      Record record;
      record.kind = kind;
      record.client = i;
      record.invoke = clock_.Now();
      record.revision = revision;
      if (kind == RecordKind::kWatch) {
        record.key = names_.prefix();
        record.range_end = names_.range_end();
      } else {
        record.revision = watchers_->watchers()[i].next - 1;
      }
      history_->Add(record);
    }
  }

  const Options& options_;
  io::SystemClock clock_;
  io::Loop loop_;
  const std::uint64_t run_id_;
  Engine engine_;
  KeySpace names_;
  MixedSource mixed_;
  CpuMeter meter_;
  std::optional<HistoryWriter> history_;
  std::unique_ptr<SweepSource> sweep_;
  Time swept_ = 0;  // when a sweep last got on
  std::optional<Watchers> watchers_;
  Revision start_revision_ = 0;
  std::vector<Revision> acknowledged_;  // of each key, if there are watches
  Revision acknowledged_max_ = 0;

  RunResult result_;
  Status failure_;
  bool preloading_ = false;
  bool measuring_ = false;
  Time began_ = 0;
  Time ticked_ = 0;
  Time give_up_ = 0;
  Histogram second_;  // of the progress line
  std::uint64_t events_before_ = 0;
};

}  // namespace

StatusOr<RunResult> Execute(const Options& options) {
  std::optional<HistoryWriter> history;
  if (!options.record_path.empty()) {
    COPPICE_ASSIGN_OR_RETURN(HistoryWriter writer, HistoryWriter::Create(options.record_path));
    history.emplace(std::move(writer));
  }
  const auto run = std::make_unique<Run>(options, std::move(history));
  return run->Execute();
}

}  // namespace coppice::loadgen
