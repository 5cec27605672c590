#include "common/node/flags.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <utility>

#include "common/api/duration.h"

namespace coppice::node {
namespace {

constexpr int kUsageExit = 2;
constexpr int kThreadsMax = 1024;

// CLI11 puts the flag's name in front itself.
std::string WithoutFlag(const Status& status, const std::string& flag) {
  std::string_view message = MessageOf(status);
  if (message.starts_with(flag + ": ")) message.remove_prefix(flag.size() + 2);
  return std::string(message);
}

// An option whose value `parse` reads: a message means that it is refused.
CLI::Option* AddParsed(CLI::App& app, std::string_view flag, std::string_view type,
                       std::string_view help,
                       std::function<std::string(const std::string&)> parse) {
  CLI::Option* option = app.add_option_function<std::string>(
      std::string(flag), [](const std::string&) {}, std::string(help));
  option->type_name(std::string(type))->check(CLI::Validator(std::move(parse), ""));
  return option;
}

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

}  // namespace

CLI::Option* AddUrls(CLI::App& app, std::string_view flag, std::vector<api::Url>& out,
                     std::string_view help) {
  return AddParsed(app, flag, "URL[,URL]", help,
                   [&out, flag = std::string(flag)](const std::string& text) -> std::string {
                     auto urls = api::ParseUrls(flag, text);
                     if (!urls.ok()) return WithoutFlag(urls.status(), flag);
                     out = *std::move(urls);
                     return {};
                   });
}

CLI::Option* AddDuration(CLI::App& app, std::string_view flag, Micros& out, std::string_view help) {
  return AddParsed(app, flag, "DURATION", help, [&out](const std::string& text) -> std::string {
    if (api::ParseDuration(text, out)) return {};
    return "\"" + text + "\" is not a duration such as 250ms, 2s or 1m";
  });
}

void AddCommonFlags(CLI::App& app, CommonFlags& flags) {
  app.set_version_flag("--version", std::string(app.get_name()) + " " + std::string(kVersion));
  app.add_option("--name", flags.name, "What this process is called");
  std::vector<std::string> defaults;
  for (const auto& listener : flags.listen_client_urls) {
    defaults.push_back(listener.url.ToString());
  }
  AddParsed(app, "--listen-client-urls", "URL[?consistency=..&max-staleness=..][,URL]",
            "Addresses to serve clients on, each with the consistency of requests that name none",
            [&flags](const std::string& text) -> std::string {
              auto urls = api::ParseListenUrls("--listen-client-urls", text);
              if (!urls.ok()) return WithoutFlag(urls.status(), "--listen-client-urls");
              flags.listen_client_urls = *std::move(urls);
              return {};
            })
      ->default_str(Join(defaults));
  AddUrls(app, "--advertise-client-urls", flags.advertise_client_urls,
          "Client addresses told to others; by default those listened on");
  AddUrls(app, "--listen-metrics-urls", flags.listen_metrics_urls,
          "Addresses of /metrics, /health, /livez, /readyz and /version");
  app.add_option("--threads", flags.threads,
                 "Threads; by default one on two CPUs or fewer, else one for each CPU")
      ->check(CLI::Range(1, kThreadsMax));
  app.add_option("--max-request-bytes", flags.limits.request_bytes_max,
                 "Largest write of a client; the same for all processes")
      ->check(CLI::Range(std::size_t{1}, std::size_t{32} << 20));
  app.add_option("--max-txn-ops", flags.limits.txn_ops_max,
                 "Most operations in a transaction; the same for all processes")
      ->check(CLI::Range(1, 1'000'000));
  AddParsed(app, "--peer-secret-file", "FILE",
            "Holds the secret by which Coppice's processes know each other",
            [&flags](const std::string& path) { return ReadSecret(path, flags.peer_secret); });
  AddParsed(app, "--log-level", "LEVEL", "debug, info, warn or error",
            [&flags](const std::string& text) -> std::string {
              if (ParseLogLevel(text, flags.log_level)) return {};
              return "\"" + text + "\" is not one of debug, info, warn, error";
            })
      ->default_str("info");
  AddParsed(app, "--log-format", "FORMAT", "json or text",
            [&flags](const std::string& text) -> std::string {
              if (ParseLogFormat(text, flags.log_format)) return {};
              return "\"" + text + "\" is not one of json, text";
            })
      ->default_str("json");
}

std::optional<int> ParseCommandLine(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success& done) {
    return app.exit(done);  // prints the help or the version
  } catch (const CLI::ParseError& error) {
    return FlagError(
        MakeStatus(StatusCode::kInvalidArgument,
                   std::string(error.what()) + "; " + app.get_name() + " --help lists the flags"));
  }
}

int FlagError(const Status& status) {
  std::string line(MessageOf(status));
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  std::fprintf(stderr, "error: %s\n", line.c_str());
  return kUsageExit;
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
