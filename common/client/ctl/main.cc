#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "common/client/ctl/command.h"

// coppicectl: etcdctl's verbs and output, the three consistencies, and the cluster at a glance.

namespace coppice::ctl {
namespace {

constexpr char kVersion[] = "0.1.0";
constexpr char kApiVersion[] = "3.6";

Commands AllCommands() {
  Commands out;
  AddKvCommands(out);
  AddTxnCommand(out);
  AddWatchCommand(out);
  AddEndpointCommands(out);
  AddClusterCommands(out);
  return out;
}

void AddGlobalFlags(FlagSet& flags, Options& options, bool& help) {
  flags.Text("endpoints", &options.endpoints, "host:port,host:port (or $ETCDCTL_ENDPOINTS)");
  flags.Duration("dial-timeout", &options.dial_timeout, "time to connect (default 2s)");
  flags.Duration("command-timeout", &options.command_timeout, "time for a reply (default 5s)");
  flags.Text("write-out", &options.write_out, "simple, json, fields or table", 'w');
  flags.Bool("hex", &options.hex, "print bytes in hexadecimal (simple output)");
  flags.Bool("show-served", &options.show_served,
             "say on stderr who served it, how consistent and how old", 'v');
  flags.Bool("help", &help, "say what there is", 'h');
}

void PrintHelp(const Commands& commands) {
  Options options;
  bool help = false;
  FlagSet flags;
  AddGlobalFlags(flags, options, help);
  fmt::print("coppicectl: talks to Coppice, and to any etcd v3 server, as etcdctl does.\n\n");
  fmt::print("USAGE:\n  coppicectl [flags] <command> [arguments]\n\nCOMMANDS:\n");
  for (const auto& command : commands) {
    fmt::print("  {:<18} {}\n", command->name(), command->summary());
  }
  fmt::print("  {:<18} {}\n\nFLAGS:\n{}", "version", "Prints the version", flags.Usage());
  fmt::print("\nThe flags of a command: coppicectl <command> --help\n");
  fmt::print(
      "From the environment: ETCDCTL_WRITE_OUT or COPPICECTL_WRITE_OUT for --write-out, etc.\n");
}

// The command that the words name, which are then taken out of `words`. Its name may have flags
// before it.
Command* FindCommand(const Commands& commands, const FlagSet& flags,
                     std::vector<std::string>& words, std::string& unknown) {
  std::string name;
  std::vector<std::size_t> taken;
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i].size() > 1 && words[i][0] == '-') {
      if (flags.TakesNext(words[i])) ++i;
      continue;
    }
    name += (name.empty() ? "" : " ") + words[i];
    taken.push_back(i);
    for (const auto& command : commands) {
      if (command->name() != name) continue;
      while (!taken.empty()) {
        words.erase(words.begin() + static_cast<std::ptrdiff_t>(taken.back()));
        taken.pop_back();
      }
      return command.get();
    }
    const bool more = std::any_of(commands.begin(), commands.end(), [&](const auto& command) {
      return command->name().starts_with(name + " ");
    });
    if (!more) break;
  }
  unknown = name;
  return nullptr;
}

int Report(const Failure& failure) {
  std::fflush(stdout);
  if (!failure.message.empty()) fmt::print(stderr, "Error: {}\n", failure.message);
  return failure.code;
}

int Unknown(const Commands& commands, const std::string& name, bool help) {
  if (name == "version") {
    fmt::print("coppicectl version: {}\nAPI version: {}\n", kVersion, kApiVersion);
    return 0;
  }
  if (name.empty() || name == "help" || help) {
    PrintHelp(commands);
    return 0;
  }
  std::string group;  // `endpoint` alone is a question, as with etcdctl
  for (const auto& command : commands) {
    if (!command->name().starts_with(name + " ")) continue;
    group += fmt::format("  {:<18} {}\n", command->name(), command->summary());
  }
  if (!group.empty()) {
    fmt::print("COMMANDS:\n{}", group);
    return 0;
  }
  return Report(Error(fmt::format(
      "unknown command \"{}\" for \"coppicectl\"\nRun 'coppicectl --help' for usage.", name)));
}

int Main(std::vector<std::string> words) {
  Options options;
  bool help = false;
  FlagSet flags;
  AddGlobalFlags(flags, options, help);
  for (const char* prefix : {"ETCDCTL", "COPPICECTL"}) {
    if (Outcome failed = flags.ReadEnvironment(prefix)) return Report(*failed);
  }
  const Commands commands = AllCommands();
  std::string unknown;
  Command* command = FindCommand(commands, flags, words, unknown);
  if (!command) {
    const bool asked = std::find(words.begin(), words.end(), "--help") != words.end();
    return Unknown(commands, unknown, asked);
  }

  command->AddFlags(flags);
  AddConsistencyFlags(flags, options);
  if (command->takes_exec()) {
    const auto separator = std::find(words.begin(), words.end(), "--");
    if (separator != words.end()) {
      if (separator + 1 == words.end()) {
        return Report(BadArgs("found separator --, but no command behind it"));
      }
      command->SetExec({separator + 1, words.end()});
      words.erase(separator, words.end());
    }
  }
  std::vector<std::string> arguments;
  if (Outcome failed = flags.Parse(words, arguments)) return Report(*failed);
  if (help) {
    fmt::print("{}\n\nUSAGE:\n  coppicectl {} {}\n\nFLAGS:\n{}", command->summary(),
               command->name(), command->usage(), flags.Usage());
    return 0;
  }
  const auto printer = MakePrinter(options.write_out, options.hex);
  if (!printer) {
    return Report(BadFeature("unsupported output format; there are simple, json, fields, table"));
  }
  if (Outcome failed = RefuseTlsAndUsers(options)) return Report(*failed);
  Session session(options);
  Context context{options, session, *printer};
  const Outcome failed = command->Run(context, arguments);
  return failed ? Report(*failed) : 0;
}

}  // namespace
}  // namespace coppice::ctl

int main(int argc, char** argv) {
  // gRPC's own log lines are for its developers; what went wrong is in the status.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  return coppice::ctl::Main({argv + 1, argv + argc});
}
