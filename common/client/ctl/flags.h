#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/time.h"
#include "common/client/ctl/exit.h"

namespace coppice::ctl {

// The flags of one command line, read as etcdctl reads its own (Go's pflag), so that its users'
// habits and scripts work: `--name value`, `--name=value`, `-n value`, `-nvalue`, booleans without
// a value, several letters in a word, flags before and after the arguments, `--` before arguments
// that begin with '-'. Arguments are taken as they are: a key may be empty or look like anything.
// Owns nothing: each flag writes to a variable that must outlive the set.
class FlagSet {
 public:
  void Bool(std::string name, bool* value, std::string help, char letter = 0);
  void Int(std::string name, std::int64_t* value, std::string help);
  void Text(std::string name, std::string* value, std::string help, char letter = 0);
  // Go's notation: 300ms, 5s, 1m30s.
  void Duration(std::string name, Micros* value, std::string help);

  // Appends what is no flag to `arguments`.
  Outcome Parse(std::span<const std::string> words, std::vector<std::string>& arguments) const;
  // Values that the environment has for flags: PREFIX_DIAL_TIMEOUT for --dial-timeout.
  Outcome ReadEnvironment(std::string_view prefix) const;
  // Whether `word` is a flag of this set whose value is the next word.
  bool TakesNext(const std::string& word) const;
  std::string Usage() const;

 private:
  struct Flag {
    std::string name;
    char letter;
    std::string help;
    std::variant<bool*, std::int64_t*, std::string*> target;
    bool is_duration;
  };

  const Flag* Find(std::string_view name) const;
  const Flag* FindLetter(char letter) const;
  const Flag* LastOf(std::string_view letters) const;
  Outcome ParseLong(std::span<const std::string> words, std::size_t& at) const;
  Outcome ParseLetters(std::span<const std::string> words, std::size_t& at) const;
  static Outcome Set(const Flag& flag, const std::string& value);

  std::vector<Flag> flags_;
};

// Go's time.ParseDuration, from 1us to days; false if it is none.
bool ParseDuration(std::string_view text, Micros& out);

}  // namespace coppice::ctl
