#include "loadgen/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <optional>

namespace coppice::loadgen {

const char kRunUsage[] = R"(usage: coppice-loadgen run SCENARIO --target ADDR[,ADDR] [options]
scenarios
  put | range | mixed      puts, reads of single keys, both (--read-ratio)
  watch                    --watchers on --keys, written at --rate; order, gaps and repeats are checked
  read-scale-out           the headline run; `run read-scale-out --help` has its own options
what is asked for
  --keys N                 100000; --prefix P before each key (bench/)
  --value-size BYTES       256
  --distribution D         uniform, zipf (0.99, scattered) or hot (one key)
  --read-ratio F           of mixed: 0.95
  --consistency M[,M]      linearizable, bounded, serializable; several: reads take them in turn
  --max-staleness D        of bounded: 500ms
  --min-revision R         coppice-min-revision of each read
  --sessions F             that part of the clients, 0 to 1, sends the highest revision that it has
                           seen as coppice-min-revision of its reads; 0
  --etcd                   the target is a plain etcd: its serializable flag, no coppice-* metadata
  --preload                write each key once before the run
how
  --connections N          8, spread over the targets; a lost one is made anew
  --streams N              32 requests in flight on each
  --rate R                 open loop: R requests/s, latency from the intended start; else closed
  --duration D  --warmup D 10s, 2s
  --timeout D              per request; none
  --seed N                 1
watches (watch, and mixed with --record)
  --watchers N             watch: 1000; single keys in turn; with --record: 0; all keys
  --watch-streams N  --watch-connections N    8, 8
what comes out
  --cpu-of NAME=PID[+PID][,NAME=...]  CPU of processes, in tiers
  --json FILE              the result; `coppice-loadgen report FILE...` prints it again
  --record FILE            each operation, for `coppice-loadgen check FILE`
  --quiet                  no progress lines
)";

namespace {

Status Bad(std::string_view option, std::string_view value, std::string_view accepted) {
  return MakeStatus(StatusCode::kInvalidArgument,
                    fmt::format("{}: '{}' is not {}", option, value, accepted));
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text, Number min, Number max) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < min || value > max) return std::nullopt;
  return value;
}

template <typename Field, typename Number>
Status SetNumber(std::string_view option, std::string_view text, Number min, Number max,
                 Field& field) {
  const auto value = ParseNumber<Number>(text, min, max);
  if (!value) return Bad(option, text, fmt::format("a number from {} to {}", min, max));
  field = static_cast<Field>(*value);
  return OkStatus();
}

Status SetDuration(std::string_view option, std::string_view text, Micros& field) {
  static constexpr std::pair<std::string_view, Micros> kUnits[] = {
      {"us", 1}, {"ms", kMillisecond}, {"s", kSecond}, {"m", 60 * kSecond}};
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto number = ParseNumber<double>(text.substr(0, digits), 0, 1e9);
  for (const auto& [unit, micros] : kUnits) {
    if (!number || text.substr(digits) != unit) continue;
    field = static_cast<Micros>(*number * static_cast<double>(micros));
    return OkStatus();
  }
  return Bad(option, text, "a duration as 250ms, 2s or 5m");
}

template <typename Enum>
Status SetName(std::string_view option, std::string_view text,
               const std::map<std::string_view, Enum>& names, Enum& field) {
  const auto it = names.find(text);
  std::string accepted;
  for (const auto& [name, value] : names) {
    accepted += (accepted.empty() ? "" : ", ") + std::string(name);
  }
  if (it == names.end()) return Bad(option, text, "one of " + accepted);
  field = it->second;
  return OkStatus();
}

Status SetTargets(std::string_view text, std::vector<Endpoint>& targets) {
  for (const std::string& part : Split(text, ',')) {
    std::string_view address = part;
    if (address.starts_with("http://")) address.remove_prefix(7);
    const std::size_t colon = address.rfind(':');
    const auto port = colon == std::string_view::npos
                          ? std::nullopt
                          : ParseNumber<std::uint16_t>(address.substr(colon + 1), 1, 65535);
    if (!port || colon == 0) return Bad("--target", part, "host:port");
    targets.push_back({std::string(address.substr(0, colon)), *port});
  }
  return OkStatus();
}

Status SetModes(std::string_view text, std::vector<ReadMode>& modes) {
  static const std::map<std::string_view, ReadMode> kNames = {
      {"linearizable", ReadMode::kLinearizable},
      {"bounded", ReadMode::kBounded},
      {"serializable", ReadMode::kSerializable}};
  modes.clear();
  for (const std::string& part : Split(text, ',')) {
    COPPICE_RETURN_IF_ERROR(SetName("--consistency", part, kNames, modes.emplace_back()));
  }
  return OkStatus();
}

Status SetCpuOf(std::string_view text, std::vector<CpuGroup>& groups) {
  for (const std::string& part : Split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Bad("--cpu-of", part, "NAME=PID[+PID]");
    }
    CpuGroup& group = groups.emplace_back();
    group.name = part.substr(0, equals);
    for (const std::string& pid : Split(std::string_view(part).substr(equals + 1), '+')) {
      const Status set = SetNumber("--cpu-of", pid, 1, 1 << 30, group.pids.emplace_back());
      if (!set.ok()) return set;
    }
  }
  return OkStatus();
}

using Setter = std::function<Status(const std::string& value, Options& options)>;

// Options that take a value.
const std::map<std::string_view, Setter>& Setters() {
  static const auto kNumber = [](std::string_view name, auto min, auto max, auto member) {
    return Setter([=](const std::string& value, Options& options) {
      return SetNumber(name, value, min, max, options.*member);
    });
  };
  static const auto kDuration = [](std::string_view name, Micros Options::*member) {
    return Setter([=](const std::string& value, Options& options) {
      return SetDuration(name, value, options.*member);
    });
  };
  static const auto kText = [](std::string Options::*member) {
    return Setter([=](const std::string& value, Options& options) {
      options.*member = value;
      return OkStatus();
    });
  };
  static const std::map<std::string_view, Distribution> kDistributions = {
      {"uniform", Distribution::kUniform},
      {"zipf", Distribution::kZipf},
      {"hot", Distribution::kHot}};
  constexpr std::uint64_t kMany = 1'000'000'000;
  static const std::map<std::string_view, Setter> kSetters = {
      {"--target", [](const auto& v, Options& o) { return SetTargets(v, o.targets); }},
      {"--consistency", [](const auto& v, Options& o) { return SetModes(v, o.modes); }},
      {"--cpu-of", [](const auto& v, Options& o) { return SetCpuOf(v, o.cpu_of); }},
      {"--distribution",
       [](const auto& v, Options& o) {
         return SetName("--distribution", v, kDistributions, o.distribution);
       }},
      {"--keys", kNumber("--keys", std::uint64_t{1}, std::uint64_t{99'999'999}, &Options::keys)},
      {"--value-size",
       kNumber("--value-size", std::uint64_t{64}, std::uint64_t{1 << 20}, &Options::value_size)},
      {"--seed", kNumber("--seed", std::uint64_t{0}, kMany, &Options::seed)},
      {"--read-ratio", kNumber("--read-ratio", 0.0, 1.0, &Options::read_ratio)},
      {"--min-revision",
       kNumber("--min-revision", std::int64_t{0}, std::int64_t{1} << 62, &Options::min_revision)},
      {"--sessions", kNumber("--sessions", 0.0, 1.0, &Options::sessions)},
      {"--connections", kNumber("--connections", 1, 10000, &Options::connections)},
      {"--streams", kNumber("--streams", 1, 100000, &Options::streams)},
      {"--rate", kNumber("--rate", 0.0, 1e7, &Options::rate)},
      {"--watchers", kNumber("--watchers", 0, 10'000'000, &Options::watchers)},
      {"--watch-streams", kNumber("--watch-streams", 1, 1'000'000, &Options::watch_streams)},
      {"--watch-connections",
       kNumber("--watch-connections", 1, 10000, &Options::watch_connections)},
      {"--max-staleness", kDuration("--max-staleness", &Options::max_staleness)},
      {"--duration", kDuration("--duration", &Options::duration)},
      {"--warmup", kDuration("--warmup", &Options::warmup)},
      {"--timeout", kDuration("--timeout", &Options::timeout)},
      {"--prefix", kText(&Options::prefix)},
      {"--json", kText(&Options::json_path)},
      {"--record", kText(&Options::record_path)},
  };
  return kSetters;
}

const std::map<std::string_view, bool Options::*>& Flags() {
  static const std::map<std::string_view, bool Options::*> kFlags = {
      {"--etcd", &Options::etcd}, {"--preload", &Options::preload}, {"--quiet", &Options::quiet}};
  return kFlags;
}

Status Validate(Options& options) {
  const auto fail = [](std::string_view why) {
    return MakeStatus(StatusCode::kInvalidArgument, why);
  };
  if (options.targets.empty()) return fail("--target ADDR[,ADDR] is required");
  const bool bounded = std::count(options.modes.begin(), options.modes.end(), ReadMode::kBounded);
  if (options.etcd && (bounded || options.min_revision > 0 || options.sessions > 0)) {
    return fail("--etcd: etcd has no bounded reads, --min-revision or --sessions");
  }
  if (options.prefix.empty()) return fail("--prefix: must not be empty");
  // The key and what makes the value unique stand in the value.
  if (options.prefix.size() > 24) return fail("--prefix: at most 24 bytes");
  if (options.scenario == Scenario::kWatch && options.watchers == 0) options.watchers = 1000;
  if (options.scenario != Scenario::kWatch && options.watchers > 0 && options.record_path.empty()) {
    return fail("--watchers: only with the scenario watch, or with --record");
  }
  if (options.scenario == Scenario::kWatch && !options.record_path.empty()) {
    return fail("--record: with put, range or mixed; there, --watchers adds watches");
  }
  options.watch_streams = std::min(options.watch_streams, std::max(options.watchers, 1));
  options.watch_connections = std::min(options.watch_connections, options.watch_streams);
  return OkStatus();
}

}  // namespace

StatusOr<Options> ParseRun(const std::vector<std::string>& args) {
  static const std::map<std::string_view, Scenario> kScenarios = {{"put", Scenario::kPut},
                                                                  {"range", Scenario::kRange},
                                                                  {"mixed", Scenario::kMixed},
                                                                  {"watch", Scenario::kWatch}};
  Options options;
  if (args.empty()) return MakeStatus(StatusCode::kInvalidArgument, "run: which scenario?");
  COPPICE_RETURN_IF_ERROR(SetName("run", args[0], kScenarios, options.scenario));
  for (std::size_t i = 1; i < args.size(); ++i) {
    std::string name = args[i];
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (const auto flag = Flags().find(name); flag != Flags().end()) {
      if (value) return Bad(name, *value, "needed: it takes no value");
      options.*flag->second = true;
      continue;
    }
    const auto setter = Setters().find(name);
    if (setter == Setters().end()) {
      return MakeStatus(StatusCode::kInvalidArgument, "unknown option " + args[i]);
    }
    if (!value && ++i == args.size()) {
      return MakeStatus(StatusCode::kInvalidArgument, name + ": a value is missing");
    }
    COPPICE_RETURN_IF_ERROR(setter->second(value ? *value : args[i], options));
  }
  COPPICE_RETURN_IF_ERROR(Validate(options));
  return options;
}

const char* ScenarioName(Scenario scenario) {
  static constexpr const char* kNames[] = {"put", "range", "mixed", "watch"};
  return kNames[static_cast<int>(scenario)];
}

const char* DistributionName(Distribution distribution) {
  static constexpr const char* kNames[] = {"uniform", "zipf", "hot"};
  return kNames[static_cast<int>(distribution)];
}

const char* ModeName(ReadMode mode) {
  static constexpr const char* kNames[] = {"linearizable", "bounded", "serializable"};
  return kNames[static_cast<int>(mode)];
}

}  // namespace coppice::loadgen
