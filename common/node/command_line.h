#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/api/urls.h"
#include "common/base/status.h"
#include "common/base/time.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace coppice::node {

// A program's flags, by CLI11: its headers, which take longer to compile than most of our sources,
// are seen by command_line.cc alone. What a flag sets is set while parsing, its default is what
// that holds before, and it outlives the CommandLine. A value that is no good ends the program with
// one line that names the flag, the value and what is accepted. Thread: main's.
class CommandLine {
 public:
  CommandLine(std::string_view description, std::string_view program);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  void Switch(std::string_view flag, bool& out, std::string_view help);
  void Text(std::string_view flag, std::string& out, std::string_view help);
  void Choice(std::string_view flag, std::string& out, const std::vector<std::string>& accepted,
              std::string_view help);
  // For int, std::int64_t and std::uint64_t; Number also for std::uint32_t and double.
  template <typename T>
  void Number(std::string_view flag, T& out, std::string_view help);
  template <typename T>
  void NumberIn(std::string_view flag, T& out, T min, T max, std::string_view help);

  // A value that `parse` reads: what it returns says why it is refused, nothing that it is
  // accepted. `type` stands for the value in the help; `shown` is the default there.
  using Parser = std::function<std::string(const std::string& value)>;
  void Parsed(std::string_view flag, std::string_view type, std::string_view help, Parser parse,
              std::string_view shown = {});
  void Urls(std::string_view flag, std::vector<api::Url>& out, std::string_view help,
            bool required = false);
  void Duration(std::string_view flag, Micros& out, std::string_view help);
  // "PROGRAM VERSION" is what --version prints.
  void Version(std::string_view version);

  // Empty: go on. Otherwise the program's exit code: 0 after --help or --version, 2 after one line
  // on stderr.
  std::optional<int> Parse(int argc, const char* const* argv);

 private:
  CLI::Option* AddParsed(std::string_view flag, std::string_view type, std::string_view help,
                         Parser parse);

  const std::unique_ptr<CLI::App> app_;
};

// An error in what the flags say together, in the same form; returns the exit code.
int FlagError(const Status& status);

// CLI11 puts the flag's name in front of what a parser says.
std::string WithoutFlag(const Status& status, std::string_view flag);

}  // namespace coppice::node
