#include "common/base/failpoint_rules.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace coppice::failpoint {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

// The number in `NAME=NUMBER`, or nothing.
std::optional<std::uint64_t> NumberOf(std::string_view word, std::string_view name) {
  if (!word.starts_with(name) || word.size() == name.size() || word[name.size()] != '=') {
    return std::nullopt;
  }
  word.remove_prefix(name.size() + 1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

bool SetAction(std::string_view word, Rule& rule) {
  static constexpr std::pair<std::string_view, Action> kActions[] = {{"kill", Action::kKill},
                                                                     {"stop", Action::kStop},
                                                                     {"eio", Action::kIoError},
                                                                     {"enospc", Action::kNoSpace},
                                                                     {"on", Action::kOn}};
  if (const auto delay = NumberOf(word, "delay")) {
    rule.action = Action::kDelay;
    rule.delay_ms = *delay;
    return true;
  }
  for (const auto& [name, action] : kActions) {
    if (word != name) continue;
    rule.action = action;
    if (action == Action::kKill || action == Action::kStop) rule.times = 1;
    return true;
  }
  return false;
}

std::optional<Rule> ParseRule(const std::vector<std::string_view>& words) {
  Rule rule;
  if (words.size() < 2 || !SetAction(words[1], rule)) return std::nullopt;
  for (std::size_t i = 2; i < words.size(); ++i) {
    if (const auto skip = NumberOf(words[i], "skip")) {
      rule.skip = *skip;
    } else if (const auto times = NumberOf(words[i], "times")) {
      rule.times = *times;
    } else {
      return std::nullopt;
    }
  }
  return rule;
}

}  // namespace

Status Rules::Parse(std::string_view text) {
  points_.clear();
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::vector<std::string_view> words = Words(line);
    if (words.empty()) continue;
    const std::optional<Rule> rule = ParseRule(words);
    if (!rule) {
      points_.clear();
      return MakeStatus(StatusCode::kInvalidArgument,
                        fmt::format("'{}' is not: NAME kill|stop|delay=MS|eio|enospc|on [skip=N] "
                                    "[times=N]",
                                    line));
    }
    points_[std::string(words[0])] = Point{*rule, 0};
  }
  return OkStatus();
}

const Rule* Rules::Pass(std::string_view name) {
  const auto it = points_.find(name);
  if (it == points_.end()) return nullptr;
  Point& point = it->second;
  const std::uint64_t before = point.passed++;
  if (before < point.rule.skip || before - point.rule.skip >= point.rule.times) return nullptr;
  return &point.rule;
}

}  // namespace coppice::failpoint
