#include "proxy/flags.h"

namespace coppice::proxy {

std::optional<int> ParseFlags(int argc, const char* const* argv, ProxyOptions& options) {
  node::CommandLine line(
      "Stateless proxy of a Coppice cluster: clients' requests to the leader or to learners, by "
      "the "
      "consistency that each asks for",
      "coppice-proxy");
  node::AddCommonFlags(line, options.flags);
  line.Urls("--upstream", options.upstreams,
            "Peer addresses of voters or learners; the others are found through these",
            /*required=*/true);
  line.Number("--watch-buffer-bytes", options.watch_buffer_bytes,
              "Memory for recent events of watches; those that need older ones ask a learner");
  if (const auto code = line.Parse(argc, argv)) return code;
  for (const api::Url& url : options.upstreams) {
    if (url.Wildcard() || url.port == 0) {
      return node::FlagError(MakeStatus(
          StatusCode::kInvalidArgument,
          "--upstream: \"" + url.ToString() + "\": not an address that can be connected to"));
    }
  }
  return std::nullopt;
}

}  // namespace coppice::proxy
