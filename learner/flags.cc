#include "learner/flags.h"

#include "common/node/flags.h"

namespace coppice::learner {

std::optional<int> ParseFlags(int argc, const char* const* argv, LearnerOptions& options) {
  node::CommandLine line(
      "A read learner of a Coppice cluster: tails the log, serves reads and watches",
      "coppice-learner");
  node::AddCommonFlags(line, options.flags);
  line.Text("--data-dir", options.data_dir, "Where the store lives (default NAME.coppice)");
  line.Urls("--listen-peer-urls", options.listen_peer_urls,
            "Addresses for proxies and for learners below this one");
  line.Urls("--advertise-peer-urls", options.advertise_peer_urls,
            "Peer addresses told to others; by default those listened on");
  line.Urls("--upstream", options.upstream, "Peer addresses of voters or learners");
  line.Duration("--ready-max-staleness", options.ready_max_staleness,
                "/readyz fails when reads would be staler than this");
  if (const auto code = line.Parse(argc, argv)) return code;
  if (options.upstream.empty()) {
    return node::FlagError(MakeStatus(
        StatusCode::kInvalidArgument,
        "--upstream is missing: give the peer address of one or more voters or learners"));
  }
  if (options.flags.name.empty()) {
    return node::FlagError(
        MakeStatus(StatusCode::kInvalidArgument,
                   "--name is missing: a learner's name is unique in its cluster"));
  }
  if (options.data_dir.empty()) options.data_dir = options.flags.name + ".coppice";
  if (options.listen_peer_urls.empty()) options.listen_peer_urls = {{"localhost", 2380}};
  return std::nullopt;
}

}  // namespace coppice::learner
