#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "loadgen/check.h"
#include "loadgen/check_log.h"
#include "loadgen/options.h"
#include "loadgen/report.h"
#include "loadgen/run.h"
#include "loadgen/surviving_log.h"

// coppice-loadgen run SCENARIO | report FILE... | check FILE... [--log VOTER_DATA_DIR]
// Exit: 0 well; 1 it could not be done, or what was checked is wrong; 2 wrong usage.

namespace coppice::loadgen {
namespace {

constexpr char kUsage[] =
    "usage: coppice-loadgen run SCENARIO --target ADDR[,ADDR] [options]   (run --help)\n"
    "       coppice-loadgen report FILE...    the tables of results written with --json\n"
    "       coppice-loadgen check FILE... [--log VOTER_DATA_DIR]\n"
    "            checks histories written with --record; with --log, against the log of a voter "
    "that\n"
    "            had caught up and is stopped, or of a copy of its data directory, too: only "
    "read\n";

int Fail(int code, std::string_view why) {
  fmt::print(stderr, "coppice-loadgen: {}\n", why);
  return code;
}

// The headline run is a script that drives this program; it lies in the sources beside build/bin.
int RunReadScaleOut(const std::vector<std::string>& args) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto root = self.parent_path().parent_path().parent_path();
  const std::string script = (root / "loadgen" / "read_scale_out.py").string();
  if (!std::filesystem::exists(script, error)) {
    return Fail(1, "run read-scale-out: no " + script + "; it runs from a checkout's build/bin");
  }
  setenv("COPPICE_BIN_DIR", self.parent_path().c_str(), 0);
  std::vector<std::string> words = {"python3", script};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execvp("python3", argv.data());
  return Fail(1, "run read-scale-out: python3 cannot be started");
}

int Run(const std::vector<std::string>& args) {
  if (args.empty() || args[0] == "--help") {
    fmt::print("{}", kRunUsage);
    return args.empty() ? 2 : 0;
  }
  if (args[0] == "read-scale-out") return RunReadScaleOut({args.begin() + 1, args.end()});
  const auto options = ParseRun(args);
  if (!options.ok()) return Fail(2, MessageOf(options.status()));
  const auto result = Execute(*options);
  if (!result.ok()) return Fail(1, MessageOf(result.status()));
  const std::string json = ToJson(*options, *result);
  if (!options->json_path.empty()) {
    std::ofstream out(options->json_path);
    if (!(out << json << std::flush)) return Fail(1, "cannot write " + options->json_path);
  }
  fmt::print("{}", TableOf(json).value());
  if (result->ok() == 0) return Fail(1, "no request was answered");
  if (!result->watch.clean()) return Fail(1, "watches were not served right");
  return 0;
}

int Report(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) return Fail(1, "cannot read " + file);
    const std::string json{std::istreambuf_iterator<char>(in), {}};
    const auto table = TableOf(json);
    if (!table.ok()) return Fail(1, file + ": " + std::string(MessageOf(table.status())));
    fmt::print("{}\n{}\n", file, *table);
  }
  return 0;
}

int Check(const std::vector<std::string>& args) {
  std::vector<std::string> files;
  std::optional<SurvivingLog> log;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] != "--log") {
      if (args[i].starts_with("--")) return Fail(2, "check: unknown option " + args[i]);
      files.push_back(args[i]);
      continue;
    }
    if (++i == args.size()) return Fail(2, "--log: a value is missing");
    auto read = ReadSurvivingLog(args[i]);
    if (!read.ok()) {
      return Fail(1, fmt::format("--log {}: {} (a stopped voter's --data-dir is expected)", args[i],
                                 MessageOf(read.status())));
    }
    log = *std::move(read);
  }
  if (files.empty()) return Fail(2, "check: which history?");
  for (const std::string& file : files) {
    const auto history = ReadHistory(file);
    if (!history.ok()) return Fail(1, MessageOf(history.status()));
    CheckReport report = CheckHistory(*history);
    if (log) {
      const Status compared = CheckLog(*history, *log, report);
      if (!compared.ok()) return Fail(1, MessageOf(compared));
    }
    fmt::print("{}\n", FormatReport(report));
    if (!report.violations.empty()) return Fail(1, file + ": the history violates the guarantees");
  }
  return 0;
}

}  // namespace
}  // namespace coppice::loadgen

int main(int argc, char** argv) {
  using namespace coppice::loadgen;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (!args.empty() && args[0] == "--help") {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (args.empty() || (args[0] != "run" && args.size() < 2)) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  const std::vector<std::string> rest(args.begin() + 1, args.end());
  if (args[0] == "run") return Run(rest);
  if (args[0] == "report") return Report(rest);
  if (args[0] == "check") return Check(rest);
  return Fail(2, "unknown command " + args[0] + "; there are run, report and check");
}
