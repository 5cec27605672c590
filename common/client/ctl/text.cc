#include "common/client/ctl/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace coppice::ctl {
namespace {

constexpr std::string_view kEscapeLetters = "abfnrtv\\\"";
constexpr std::string_view kEscapeBytes = "\a\b\f\n\r\t\v\\\"";

// The length of the UTF-8 sequence at the start of `s`, or 0 if it is none or only ASCII.
std::size_t Utf8Length(std::string_view s) {
  const auto lead = static_cast<unsigned char>(s[0]);
  const std::size_t length = lead >= 0xf0 && lead < 0xf5 ? 4
                             : lead >= 0xe0              ? 3
                             : lead >= 0xc2              ? 2
                                                         : 0;
  if (length == 0 || lead >= 0xf5 || s.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(s[i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One escape after its backslash, at text[0].
bool Unescape(std::string_view& text, std::string& out) {
  if (text.empty()) return false;
  if (text[0] == 'x') {
    if (text.size() < 3 || HexDigit(text[1]) < 0 || HexDigit(text[2]) < 0) return false;
    out += static_cast<char>(HexDigit(text[1]) * 16 + HexDigit(text[2]));
    text.remove_prefix(3);
    return true;
  }
  const std::size_t letter = kEscapeLetters.find(text[0]);
  if (letter == std::string_view::npos) return false;
  out += kEscapeBytes[letter];
  text.remove_prefix(1);
  return true;
}

std::vector<std::size_t> Widths(const std::vector<std::string>& heads,
                                const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    widths.push_back(heads[i].size());
    for (const auto& row : rows) widths[i] = std::max(widths[i], row[i].size());
  }
  return widths;
}

}  // namespace

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string Quote(std::string_view bytes) {
  std::string out = "\"";
  while (!bytes.empty()) {
    const std::size_t escape = kEscapeBytes.find(bytes[0]);
    std::size_t taken = 1;
    if (escape != std::string_view::npos) {
      out += '\\';
      out += kEscapeLetters[escape];
    } else if (bytes[0] >= ' ' && bytes[0] < 0x7f) {
      out += bytes[0];
    } else if (const std::size_t length = Utf8Length(bytes)) {
      taken = length;
      out += bytes.substr(0, length);
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
    }
    bytes.remove_prefix(taken);
  }
  return out + '"';
}

bool Unquote(std::string_view& text, std::string& out) {
  out.clear();
  if (text.empty() || (text[0] != '"' && text[0] != '`')) return false;
  const char quote = text[0];
  text.remove_prefix(1);
  while (!text.empty() && text[0] != quote) {
    const char c = text[0];
    text.remove_prefix(1);
    if (c == '\\' && quote == '"') {
      if (!Unescape(text, out)) return false;
    } else {
      out += c;
    }
  }
  if (text.empty()) return false;
  text.remove_prefix(1);
  return true;
}

std::string HexEscape(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < have ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= have ? kLetters[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string HumanBytes(std::uint64_t bytes) {
  if (bytes < 10) return fmt::format("{} B", bytes);
  constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  value = std::floor(value * 10 + 0.5) / 10;
  return fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, kUnits[unit]);
}

std::string GoDuration(std::int64_t nanos) {
  if (nanos < 1000) return fmt::format("{}ns", nanos);
  const auto value = static_cast<double>(nanos);
  const auto [scale, digits, unit] = nanos < 1'000'000       ? std::tuple(1e3, 3, "\u00b5s")
                                     : nanos < 1'000'000'000 ? std::tuple(1e6, 6, "ms")
                                                             : std::tuple(1e9, 9, "s");
  std::string out = fmt::format("{:.{}f}", value / scale, digits);
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) out.pop_back();
  return out + unit;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) return std::string(1, '\0');
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::string BorderedTable(const std::vector<std::string>& heads,
                          const std::vector<std::vector<std::string>>& rows) {
  const std::vector<std::size_t> widths = Widths(heads, rows);
  std::string rule = "+";
  std::string out = "|";
  for (std::size_t i = 0; i < heads.size(); ++i) {
    rule += std::string(widths[i] + 2, '-') + "+";
    const std::size_t gap = widths[i] - heads[i].size();
    out += std::string(1 + gap / 2, ' ') + Upper(heads[i]) + std::string(gap - gap / 2 + 1, ' ');
    out += '|';
  }
  rule += '\n';
  out = rule + out + '\n' + rule;
  for (const auto& row : rows) {
    out += '|';
    for (std::size_t i = 0; i < row.size(); ++i) out += fmt::format(" {:>{}} |", row[i], widths[i]);
    out += '\n';
  }
  return out + rule;
}

std::string PlainTable(const std::vector<std::string>& heads,
                       const std::vector<std::vector<std::string>>& rows) {
  const std::vector<std::size_t> widths = Widths(heads, rows);
  std::string out;
  auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  std::vector<std::string> upper;
  upper.reserve(heads.size());
  for (const std::string& head : heads) upper.push_back(Upper(head));
  add(upper);
  for (const auto& row : rows) add(row);
  return out;
}

bool SplitWords(std::string_view line, std::vector<std::string>& out) {
  while (true) {
    const std::size_t start = line.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) return true;
    line.remove_prefix(start);
    std::string word;
    if (line[0] == '"') {
      if (!Unquote(line, word)) return false;
    } else if (line[0] == '\'') {
      const std::size_t end = line.find('\'', 1);
      if (end == std::string_view::npos) return false;
      word = line.substr(1, end - 1);
      line.remove_prefix(end + 1);
    } else {
      const std::size_t end = std::min(line.find_first_of(" \t\r\n"), line.size());
      word = line.substr(0, end);
      line.remove_prefix(end);
    }
    out.push_back(std::move(word));
  }
}

}  // namespace coppice::ctl
