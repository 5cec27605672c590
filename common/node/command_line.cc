#include "common/node/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <type_traits>
#include <utility>

#include "common/api/duration.h"

namespace coppice::node {
namespace {

constexpr int kUsageExit = 2;

std::string NotNegative(const std::string& value) {
  return value.starts_with('-') ? "\"" + value + "\" is below 0" : "";
}

}  // namespace

CommandLine::CommandLine(std::string_view description, std::string_view program)
    : app_(std::make_unique<CLI::App>(std::string(description), std::string(program))) {}

CommandLine::~CommandLine() = default;

void CommandLine::Switch(std::string_view flag, bool& out, std::string_view help) {
  app_->add_flag(std::string(flag), out, std::string(help));
}

void CommandLine::Text(std::string_view flag, std::string& out, std::string_view help) {
  app_->add_option(std::string(flag), out, std::string(help));
}

void CommandLine::Choice(std::string_view flag, std::string& out,
                         const std::vector<std::string>& accepted, std::string_view help) {
  app_->add_option(std::string(flag), out, std::string(help))->check(CLI::IsMember(accepted));
}

template <typename T>
void CommandLine::Number(std::string_view flag, T& out, std::string_view help) {
  CLI::Option* option = app_->add_option(std::string(flag), out, std::string(help));
  // CLI11 reads -1 as the largest unsigned number.
  if constexpr (std::is_unsigned_v<T>) option->check(CLI::Validator(NotNegative, ""));
}
template void CommandLine::Number<int>(std::string_view, int&, std::string_view);
template void CommandLine::Number<std::int64_t>(std::string_view, std::int64_t&, std::string_view);
template void CommandLine::Number<std::uint32_t>(std::string_view, std::uint32_t&,
                                                 std::string_view);
template void CommandLine::Number<std::uint64_t>(std::string_view, std::uint64_t&,
                                                 std::string_view);
template void CommandLine::Number<double>(std::string_view, double&, std::string_view);

template <typename T>
void CommandLine::NumberIn(std::string_view flag, T& out, T min, T max, std::string_view help) {
  app_->add_option(std::string(flag), out, std::string(help))->check(CLI::Range(min, max));
}
template void CommandLine::NumberIn<int>(std::string_view, int&, int, int, std::string_view);
template void CommandLine::NumberIn<std::int64_t>(std::string_view, std::int64_t&, std::int64_t,
                                                  std::int64_t, std::string_view);
template void CommandLine::NumberIn<std::uint64_t>(std::string_view, std::uint64_t&, std::uint64_t,
                                                   std::uint64_t, std::string_view);

CLI::Option* CommandLine::AddParsed(std::string_view flag, std::string_view type,
                                    std::string_view help, Parser parse) {
  CLI::Option* option = app_->add_option_function<std::string>(
      std::string(flag), [](const std::string&) {}, std::string(help));
  return option->type_name(std::string(type))->check(CLI::Validator(std::move(parse), ""));
}

void CommandLine::Parsed(std::string_view flag, std::string_view type, std::string_view help,
                         Parser parse, std::string_view shown) {
  CLI::Option* option = AddParsed(flag, type, help, std::move(parse));
  if (!shown.empty()) option->default_str(std::string(shown));
}

void CommandLine::Urls(std::string_view flag, std::vector<api::Url>& out, std::string_view help,
                       bool required) {
  auto parse = [&out, flag = std::string(flag)](const std::string& text) -> std::string {
    auto urls = api::ParseUrls(flag, text);
    if (!urls.ok()) return WithoutFlag(urls.status(), flag);
    out = *std::move(urls);
    return {};
  };
  AddParsed(flag, "URL[,URL]", help, std::move(parse))->required(required);
}

void CommandLine::Duration(std::string_view flag, Micros& out, std::string_view help) {
  AddParsed(flag, "DURATION", help, [&out](const std::string& text) -> std::string {
    if (api::ParseDuration(text, out)) return {};
    return "\"" + text + "\" is not a duration such as 250ms, 2s or 1m";
  });
}

void CommandLine::Version(std::string_view version) {
  app_->set_version_flag("--version", app_->get_name() + " " + std::string(version));
}

std::optional<int> CommandLine::Parse(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::Success& done) {
    return app_->exit(done);  // prints the help or the version
  } catch (const CLI::ParseError& error) {
    return FlagError(MakeStatus(
        StatusCode::kInvalidArgument,
        std::string(error.what()) + "; " + app_->get_name() + " --help lists the flags"));
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

std::string WithoutFlag(const Status& status, std::string_view flag) {
  std::string_view message = MessageOf(status);
  const std::string prefix = std::string(flag) + ": ";
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  return std::string(message);
}

}  // namespace coppice::node
