#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/api/limits.h"
#include "common/api/urls.h"
#include "common/base/status.h"
#include "common/node/logging.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

// The flags that coppice-voter, coppice-learner and coppice-proxy have in common
// (docs/operations.md), and how all flags are checked: a value that is no good ends the program
// with one line that names the flag, the value and what is accepted. Thread: main's.
namespace coppice::node {

constexpr std::string_view kVersion = "0.1.0";

struct CommonFlags {
  std::string name;
  // Each with the consistency of clients that ask for none.
  std::vector<api::ListenUrl> listen_client_urls = {{{"localhost", 2379}, {}}};
  std::vector<api::Url> advertise_client_urls;  // empty: as listen_client_urls
  std::vector<api::Url> listen_metrics_urls;
  api::Limits limits;       // of clients' requests
  int threads = 0;          // 0: by the CPUs this process may use
  std::string peer_secret;  // the contents of --peer-secret-file, without the last newline
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kJson;
};

// The defaults are what `flags` holds now.
void AddCommonFlags(CLI::App& app, CommonFlags& flags);

// Options with a value of our own kind: `out` is set while parsing.
CLI::Option* AddUrls(CLI::App& app, std::string_view flag, std::vector<api::Url>& out,
                     std::string_view help);
CLI::Option* AddDuration(CLI::App& app, std::string_view flag, Micros& out, std::string_view help);

// Parses the command line. Empty: go on. Otherwise the program's exit code: 0 after --help or
// --version, 2 after one line on stderr.
std::optional<int> ParseCommandLine(CLI::App& app, int argc, const char* const* argv);
// An error in what the flags say together, in the same form; returns the exit code.
int FlagError(const Status& status);

// What to tell others of where this process listens: `advertised` if given, else `listening` with
// the ports bound. A wildcard host becomes `local_host` (the local address of the upstream
// connection, or the machine's).
std::vector<std::string> AdvertisedUrls(const std::vector<api::Url>& advertised,
                                        const std::vector<api::Url>& listening,
                                        std::string_view local_host);

}  // namespace coppice::node
