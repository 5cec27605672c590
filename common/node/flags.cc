#include "common/node/flags.h"

#include <fstream>
#include <sstream>
#include <utility>

#include "common/node/host.h"

namespace coppice::node {
namespace {

std::string ReadSecret(const std::string& path, std::string& out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "cannot read " + path;
  std::ostringstream contents;
  contents << file.rdbuf();
  out = contents.str();
  while (out.ends_with('\n') || out.ends_with('\r')) out.pop_back();
  return out.empty() ? path + " is empty; it must hold the secret that all processes share" : "";
}

std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

void AddLogFlags(CommandLine& line, CommonFlags& flags) {
  line.Parsed(
      "--log-level", "LEVEL", "debug, info, warn or error",
      [&flags](const std::string& text) -> std::string {
        if (ParseLogLevel(text, flags.log_level)) return {};
        return "\"" + text + "\" is not one of debug, info, warn, error";
      },
      "info");
  line.Parsed(
      "--log-format", "FORMAT", "json or text",
      [&flags](const std::string& text) -> std::string {
        if (ParseLogFormat(text, flags.log_format)) return {};
        return "\"" + text + "\" is not one of json, text";
      },
      "json");
}

}  // namespace

void AddCommonFlags(CommandLine& line, CommonFlags& flags) {
  line.Version(kVersion);
  line.Text("--name", flags.name, "What this process is called");
  std::vector<std::string> defaults;
  for (const auto& listener : flags.listen_client_urls) {
    defaults.push_back(listener.url.ToString());
  }
  line.Parsed(
      "--listen-client-urls", "URL[?consistency=..&max-staleness=..][,URL]",
      "Addresses to serve clients on, each with the consistency of requests that name none",
      [&flags](const std::string& text) -> std::string {
        auto urls = api::ParseListenUrls("--listen-client-urls", text);
        if (!urls.ok()) return WithoutFlag(urls.status(), "--listen-client-urls");
        flags.listen_client_urls = *std::move(urls);
        return {};
      },
      Join(defaults));
  line.Urls("--advertise-client-urls", flags.advertise_client_urls,
            "Client addresses told to others; by default those listened on");
  line.Urls("--listen-metrics-urls", flags.listen_metrics_urls,
            "Addresses of /metrics, /health, /livez, /readyz and /version");
  line.NumberIn("--threads", flags.threads, 1, kThreadsMax,
                "Threads; by default one on two CPUs or fewer, else one for each CPU, up to 64");
  line.NumberIn("--max-request-bytes", flags.limits.request_bytes_max, std::size_t{1},
                std::size_t{32} << 20, "Largest write of a client; the same for all processes");
  line.NumberIn("--max-txn-ops", flags.limits.txn_ops_max, 1, 1'000'000,
                "Most operations in a transaction; the same for all processes");
  line.Parsed("--peer-secret-file", "FILE",
              "Holds the secret by which Coppice's processes know each other",
              [&flags](const std::string& path) { return ReadSecret(path, flags.peer_secret); });
  AddLogFlags(line, flags);
}

std::vector<std::string> AdvertisedUrls(const std::vector<api::Url>& advertised,
                                        const std::vector<api::Url>& listening,
                                        std::string_view local_host) {
  std::vector<std::string> out;
  for (api::Url url : advertised.empty() ? listening : advertised) {
    if (url.Wildcard() && !local_host.empty()) url.host = local_host;
    out.push_back(url.ToString());
  }
  return out;
}

}  // namespace coppice::node
