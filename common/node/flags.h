#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/api/limits.h"
#include "common/api/urls.h"
#include "common/node/command_line.h"
#include "common/node/logging.h"

// The flags that coppice-voter, coppice-learner and coppice-proxy have in common
// (docs/operations.md). Thread: main's.
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
void AddCommonFlags(CommandLine& line, CommonFlags& flags);

// What to tell others of where this process listens: `advertised` if given, else `listening` with
// the ports bound. A wildcard host becomes `local_host` (the local address of the upstream
// connection, or the machine's).
std::vector<std::string> AdvertisedUrls(const std::vector<api::Url>& advertised,
                                        const std::vector<api::Url>& listening,
                                        std::string_view local_host);

}  // namespace coppice::node
