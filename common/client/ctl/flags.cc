#include "common/client/ctl/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

bool ParseInt(std::string_view text, std::int64_t& out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseBool(std::string_view text, bool& out) {
  for (std::string_view yes : {"true", "1", "t", "T", "TRUE", "True"}) {
    if (text == yes) return out = true;
  }
  for (std::string_view no : {"false", "0", "f", "F", "FALSE", "False"}) {
    if (text == no) return !(out = false);
  }
  return false;
}

struct Unit {
  std::string_view name;
  double micros;
};
// Longer names first where one begins with another.
constexpr Unit kUnits[] = {{"ns", 1e-3}, {"us", 1},   {"\u00b5s", 1}, {"ms", 1e3},
                           {"s", 1e6},   {"m", 60e6}, {"h", 3600e6}};

}  // namespace

bool ParseDuration(std::string_view text, Micros& out) {
  if (text.empty()) return false;
  double total = 0;
  while (!text.empty()) {
    const std::size_t digits = text.find_first_not_of("0123456789.");
    double number = 0;
    if (digits == 0 || digits == std::string_view::npos) {
      if (text != "0") return false;
      break;
    }
    auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
    if (error != std::errc() || end != text.data() + digits) return false;
    text.remove_prefix(digits);
    const Unit* found = nullptr;
    for (const Unit& unit : kUnits) {
      if (text.starts_with(unit.name) && (!found || unit.name.size() > found->name.size())) {
        found = &unit;
      }
    }
    if (!found) return false;
    text.remove_prefix(found->name.size());
    total += number * found->micros;
  }
  if (total > 1e17) return false;
  out = static_cast<Micros>(std::llround(total));
  return true;
}

void FlagSet::Bool(std::string name, bool* value, std::string help, char letter) {
  flags_.push_back({std::move(name), letter, std::move(help), value, false});
}
void FlagSet::Int(std::string name, std::int64_t* value, std::string help) {
  flags_.push_back({std::move(name), 0, std::move(help), value, false});
}
void FlagSet::Text(std::string name, std::string* value, std::string help, char letter) {
  flags_.push_back({std::move(name), letter, std::move(help), value, false});
}
void FlagSet::Duration(std::string name, Micros* value, std::string help) {
  flags_.push_back({std::move(name), 0, std::move(help), value, true});
}

const FlagSet::Flag* FlagSet::Find(std::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

const FlagSet::Flag* FlagSet::FindLetter(char letter) const {
  for (const Flag& flag : flags_) {
    if (flag.letter == letter) return &flag;
  }
  return nullptr;
}

Outcome FlagSet::Set(const Flag& flag, const std::string& value) {
  bool good = true;
  std::string_view wanted;
  if (auto* flag_bool = std::get_if<bool*>(&flag.target)) {
    good = ParseBool(value, **flag_bool);
    wanted = "true or false";
  } else if (auto* number = std::get_if<std::int64_t*>(&flag.target)) {
    good = flag.is_duration ? ParseDuration(value, **number) : ParseInt(value, **number);
    wanted = flag.is_duration ? "a duration such as 250ms or 5s" : "a whole number";
  } else {
    *std::get<std::string*>(flag.target) = value;
  }
  if (good) return {};
  return Error(
      fmt::format("invalid argument \"{}\" for \"--{}\": expecting {}", value, flag.name, wanted));
}

Outcome FlagSet::ParseLong(std::span<const std::string> words, std::size_t& at) const {
  const std::string_view word = std::string_view(words[at]).substr(2);
  const std::size_t equals = word.find('=');
  const Flag* const flag = Find(word.substr(0, equals));
  if (flag == nullptr) return Error(fmt::format("unknown flag: --{}", word.substr(0, equals)));
  if (equals != std::string::npos) return Set(*flag, std::string(word.substr(equals + 1)));
  if (std::holds_alternative<bool*>(flag->target)) return Set(*flag, "true");
  if (++at == words.size()) return Error("flag needs an argument: --" + flag->name);
  return Set(*flag, words[at]);
}

// Booleans, then at most one with a value, which is the rest of the word or the next one.
Outcome FlagSet::ParseLetters(std::span<const std::string> words, std::size_t& at) const {
  std::string_view word = std::string_view(words[at]).substr(1);
  while (!word.empty()) {
    const Flag* const flag = FindLetter(word.front());
    if (flag == nullptr) {
      return Error(fmt::format("unknown shorthand flag: '{}' in {}", word.front(), words[at]));
    }
    word.remove_prefix(1);
    const bool is_bool = std::holds_alternative<bool*>(flag->target);
    if (is_bool && !word.starts_with('=')) {
      if (Outcome failed = Set(*flag, "true")) return failed;
      continue;
    }
    if (word.starts_with('=')) {
      word.remove_prefix(1);
    } else if (word.empty()) {
      if (++at == words.size()) return Error("flag needs an argument: --" + flag->name);
      word = words[at];
    }
    return Set(*flag, std::string(word));
  }
  return {};
}

Outcome FlagSet::Parse(std::span<const std::string> words,
                       std::vector<std::string>& arguments) const {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      arguments.insert(arguments.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                       words.end());
      return {};
    }
    if (word.size() < 2 || word[0] != '-') {
      arguments.push_back(word);
      continue;
    }
    if (Outcome failed = word[1] == '-' ? ParseLong(words, i) : ParseLetters(words, i)) {
      return failed;
    }
  }
  return {};
}

Outcome FlagSet::ReadEnvironment(std::string_view prefix) const {
  for (const Flag& flag : flags_) {
    std::string name = Upper(fmt::format("{}_{}", prefix, flag.name));
    std::replace(name.begin(), name.end(), '-', '_');
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    if (const Outcome failed = Set(flag, value)) return Error(name + ": " + failed->message);
  }
  return {};
}

// The flag that takes what follows such a word of letters, or null: `-vw` does, `-wjson` does not.
const FlagSet::Flag* FlagSet::LastOf(std::string_view letters) const {
  while (!letters.empty()) {
    const Flag* const flag = FindLetter(letters.front());
    letters.remove_prefix(1);
    if (flag == nullptr) return nullptr;
    if (!std::holds_alternative<bool*>(flag->target)) return letters.empty() ? flag : nullptr;
  }
  return nullptr;
}

bool FlagSet::TakesNext(const std::string& word) const {
  if (word.find('=') != std::string::npos) return false;
  const Flag* flag = word.starts_with("--") ? Find(std::string_view(word).substr(2))
                                            : LastOf(std::string_view(word).substr(1));
  return flag && !std::holds_alternative<bool*>(flag->target);
}

std::string FlagSet::Usage() const {
  std::string out;
  for (const Flag& flag : flags_) {
    const std::string letter = flag.letter ? fmt::format("-{}, ", flag.letter) : "    ";
    out += fmt::format("  {}--{:<24} {}\n", letter, flag.name, flag.help);
  }
  return out;
}

}  // namespace coppice::ctl
