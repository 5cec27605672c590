#include "loadgen/report.h"

#include <fmt/format.h>

#include <boost/property_tree/json_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <sstream>

namespace coppice::loadgen {
namespace {

using Tree = boost::property_tree::ptree;

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}};

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string LatencyJson(const Histogram& latency) {
  std::string out = "{";
  for (const auto& [name, fraction] : kQuantiles) {
    out += fmt::format("\"{}\": {}, ", name, latency.Quantile(fraction));
  }
  return out + fmt::format("\"max\": {}}}", latency.max());
}

std::string SeriesJson(const char* name, const Series& series, double seconds) {
  return fmt::format(
      "    {{\"name\": \"{}\", \"ok\": {}, \"per_s\": {:.1f}, \"errors\": {}, \"wrong\": {}, "
      "\"missing\": {}, \"latency_us\": {}}}",
      name, series.ok, static_cast<double>(series.ok) / seconds, series.errors, series.wrong,
      series.missing, LatencyJson(series.latency));
}

std::string CpuJson(const CpuUse& use, double seconds, double units) {
  const auto cpu = static_cast<double>(use.cpu);
  return fmt::format(
      "    {{\"name\": {}, \"processes\": {}, \"cpu_us\": {}, \"us_per_request\": {:.3f}, "
      "\"cores\": {:.3f}, \"incomplete\": {}}}",
      Quoted(use.name), use.processes, use.cpu, units > 0 ? cpu / units : 0, cpu / seconds / 1e6,
      use.incomplete);
}

std::string WatchJson(const WatchSummary& watch, double seconds) {
  return fmt::format(
      "{{\"watchers\": {}, \"events\": {}, \"per_s\": {:.1f}, \"gaps\": {}, \"repeats\": {}, "
      "\"wrong\": {}, \"canceled\": {}, \"behind\": {}, \"resumed\": {}, \"latency_us\": {}}}",
      watch.watchers, watch.events, static_cast<double>(watch.events) / seconds, watch.gaps,
      watch.repeats, watch.wrong, watch.canceled, watch.behind, watch.resumed,
      LatencyJson(watch.latency));
}

std::string OptionsJson(const Options& options) {
  std::string modes;
  for (const ReadMode mode : options.modes) {
    modes += (modes.empty() ? "" : ",") + std::string(ModeName(mode));
  }
  std::string targets;
  for (const Endpoint& target : options.targets) {
    targets += (targets.empty() ? "" : ",") + target.Name();
  }
  return fmt::format(
      "{{\"scenario\": \"{}\", \"targets\": {}, \"etcd\": {}, \"keys\": {}, \"value_size\": {}, "
      "\"distribution\": \"{}\", \"read_ratio\": {}, \"consistency\": \"{}\", \"connections\": {}, "
      "\"streams\": {}, \"rate\": {}, \"seed\": {}}}",
      ScenarioName(options.scenario), Quoted(targets), options.etcd, options.keys,
      options.value_size, DistributionName(options.distribution), options.read_ratio, modes,
      options.connections, options.streams, options.rate, options.seed);
}

template <typename Items, typename Format>
std::string Joined(const Items& items, Format&& format) {
  std::string out;
  for (const auto& item : items) {
    const std::string text = format(item);
    if (!text.empty()) out += (out.empty() ? "" : ",\n") + text;
  }
  return out;
}

std::string Row(const Tree& tree, double of) {
  const auto ms = [&tree](const char* name) {
    return tree.get<double>(std::string("latency_us.") + name, 0) / 1000;
  };
  return fmt::format("{:>12.0f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}", of, ms("p50"),
                     ms("p90"), ms("p99"), ms("p99_9"), ms("max"));
}

std::string WatchTable(const Tree& watch) {
  return fmt::format(
      "{:<14}{}\n  {} watchers, {} events; {} gaps, {} repeats, {} wrong, {} "
      "canceled, {} behind at the end, {} streams resumed\n",
      "events", Row(watch, watch.get<double>("per_s")), watch.get<std::string>("watchers"),
      watch.get<std::string>("events"), watch.get<std::string>("gaps"),
      watch.get<std::string>("repeats"), watch.get<std::string>("wrong"),
      watch.get<std::string>("canceled"), watch.get<std::string>("behind"),
      watch.get<std::string>("resumed"));
}

std::string Table(const Tree& tree) {
  std::string out = fmt::format(
      "{} {} on {}: {} keys of {} B, {}, {} x {} in flight, {:.1f} s\n{:<14}{:>12} {:>9} {:>9} "
      "{:>9} {:>9} {:>9}\n",
      tree.get<std::string>("run.scenario"), tree.get<std::string>("run.consistency"),
      tree.get<std::string>("run.targets"), tree.get<std::string>("run.keys"),
      tree.get<std::string>("run.value_size"), tree.get<std::string>("run.distribution"),
      tree.get<std::string>("run.connections"), tree.get<std::string>("run.streams"),
      tree.get<double>("seconds"), "", "per s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms");
  for (const auto& [unused, series] : tree.get_child("series")) {
    out += fmt::format("{:<14}{}", series.get<std::string>("name"),
                       Row(series, series.get<double>("per_s")));
    for (const char* bad : {"errors", "wrong", "missing"}) {
      const auto count = series.get<std::uint64_t>(bad);
      if (count > 0) out += fmt::format("  {} {}", count, bad);
    }
    out += '\n';
  }
  if (tree.get<std::uint64_t>("watch.watchers") > 0) out += WatchTable(tree.get_child("watch"));
  for (const auto& [unused, error] : tree.get_child("errors")) {
    out += fmt::format("  {} x {}\n", error.get<std::string>("count"),
                       error.get<std::string>("message"));
  }
  const bool events = tree.get<std::string>("unit") == "event";
  out += fmt::format("{:<14}{:>12} {:>9}\n", "CPU", events ? "us/event" : "us/request", "cores");
  for (const auto& [unused, cpu] : tree.get_child("cpu")) {
    out += fmt::format("{:<14}{:>12.2f} {:>9.2f}{}\n", cpu.get<std::string>("name"),
                       cpu.get<double>("us_per_request"), cpu.get<double>("cores"),
                       cpu.get<bool>("incomplete") ? "  (a process ended)" : "");
  }
  return out;
}

}  // namespace

std::uint64_t RunResult::ok() const {
  std::uint64_t sum = 0;
  for (const Series& one : series) sum += one.ok;
  return sum;
}

std::uint64_t RunResult::bad() const {
  std::uint64_t sum = 0;
  for (const Series& one : series) sum += one.errors + one.wrong;
  return sum;
}

std::string ToJson(const Options& options, const RunResult& result) {
  const double seconds = result.seconds > 0 ? result.seconds : 1;
  const bool events = options.scenario == Scenario::kWatch;
  const auto units = static_cast<double>(events ? result.watch.events : result.ok());
  std::string series;
  for (std::size_t i = 0; i < kSeriesNames.size(); ++i) {
    const Series& one = result.series[i];
    if (one.ok + one.errors + one.wrong == 0) continue;
    series += (series.empty() ? "" : ",\n") + SeriesJson(kSeriesNames[i], one, seconds);
  }
  return fmt::format(
      "{{\n  \"run\": {},\n  \"seconds\": {:.3f},\n  \"requests_per_s\": {:.1f},\n  \"bad\": {},\n"
      "  \"reconnects\": {},\n  \"unit\": \"{}\",\n  \"series\": [\n{}\n  ],\n"
      "  \"watch\": {},\n  \"errors\": [\n{}\n  ],\n  \"cpu\": [\n{}\n  ]\n}}\n",
      OptionsJson(options), seconds, static_cast<double>(result.ok()) / seconds, result.bad(),
      result.reconnects, events ? "event" : "request", series, WatchJson(result.watch, seconds),
      Joined(result.errors,
             [](const auto& error) {
               return fmt::format("    {{\"message\": {}, \"count\": {}}}", Quoted(error.first),
                                  error.second);
             }),
      Joined(result.cpu, [&](const CpuUse& use) { return CpuJson(use, seconds, units); }));
}

StatusOr<std::string> TableOf(const std::string& json) {
  try {
    std::istringstream in(json);
    Tree tree;
    boost::property_tree::read_json(in, tree);
    return Table(tree);
  } catch (const boost::property_tree::ptree_error& error) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      fmt::format("no result of coppice-loadgen run: {}", error.what()));
  }
}

}  // namespace coppice::loadgen
