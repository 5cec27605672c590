#include "loadgen/history.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

namespace coppice::loadgen {
namespace {

constexpr std::string_view kKinds[] = {"put", "get", "delete", "watch", "event", "watch_end"};
constexpr std::string_view kOutcomes[] = {"ok", "fail", "unknown"};
constexpr std::string_view kModes[] = {"linearizable", "bounded", "serializable"};

Status Malformed(std::string_view what) {
  return MakeStatus(StatusCode::kInvalidArgument, what);
}

void PutText(std::string& out, std::string_view name, std::string_view text) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":\"", name);
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void PutNumber(std::string& out, std::string_view name, std::int64_t value) {
  if (value != 0) fmt::format_to(std::back_inserter(out), ",\"{}\":{}", name, value);
}

// One flat JSON object of strings and integers.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  // Calls `field(name, text, number)`; `text` is null for a number.
  template <typename Field>
  Status Read(Field&& field) {
    if (!Take('{')) return Malformed("no JSON object");
    if (Take('}')) return End();
    do {
      std::string name;
      std::string text;
      std::int64_t number = 0;
      if (!Text(name) || !Take(':')) return Malformed("a field's name is malformed");
      const bool is_text = Peek('"');
      if (is_text ? !Text(text) : !Number(number)) return Malformed(name + " is malformed");
      COPPICE_RETURN_IF_ERROR(field(name, is_text ? &text : nullptr, number));
    } while (Take(','));
    if (!Take('}')) return Malformed("the object does not end");
    return End();
  }

 private:
  void Blanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  bool Peek(char c) {
    Blanks();
    return !rest_.empty() && rest_[0] == c;
  }
  bool Take(char c) {
    if (!Peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  Status End() {
    Blanks();
    return rest_.empty() ? OkStatus() : Malformed("something follows the object");
  }
  bool Text(std::string& out) {
    if (!Take('"')) return false;
    while (!rest_.empty()) {
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c != '\\') {
        out += c;
      } else if (!Escape(out)) {
        return false;
      }
    }
    return false;
  }
  bool Escape(std::string& out) {
    if (rest_.empty()) return false;
    const char c = rest_[0];
    rest_.remove_prefix(1);
    if (c == '"' || c == '\\' || c == '/') {
      out += c;
      return true;
    }
    unsigned code = 0;
    if (c != 'u' || rest_.size() < 4) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, code, 16);
    if (error != std::errc() || end != rest_.data() + 4 || code > 0x7f) return false;
    out += static_cast<char>(code);
    rest_.remove_prefix(4);
    return true;
  }
  bool Number(std::int64_t& number) {
    Blanks();
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }

  std::string_view rest_;
};

template <typename Enum, std::size_t n>
Status SetEnum(const std::string& name, const std::string& text, const std::string_view (&names)[n],
               Enum& value) {
  for (std::size_t i = 0; i < n; ++i) {
    if (names[i] != text) continue;
    value = static_cast<Enum>(i);
    return OkStatus();
  }
  return Malformed(fmt::format("{}: unknown '{}'", name, text));
}

Status SetText(const std::string& name, std::string& text, Record& record) {
  if (name == "op") return SetEnum(name, text, kKinds, record.kind);
  if (name == "outcome") return SetEnum(name, text, kOutcomes, record.outcome);
  if (name == "mode") return SetEnum(name, text, kModes, record.mode);
  if (name == "key") {
    record.key = std::move(text);
  } else if (name == "range_end") {
    record.range_end = std::move(text);
  } else if (name == "value") {
    record.value = std::move(text);
  }
  return OkStatus();
}

void SetNumber(const std::string& name, std::int64_t number, Record& record) {
  if (name == "client" || name == "watcher") record.client = static_cast<std::uint64_t>(number);
  if (name == "session") record.session = number != 0;
  if (name == "invoke" || name == "time") record.invoke = number;
  if (name == "return") record.end = number;
  if (name == "max_staleness") record.max_staleness = number;
  if (name == "min_revision") record.min_revision = number;
  if (name == "revision") record.revision = number;
  if (name == "mod_revision") record.mod_revision = number;
}

}  // namespace

std::string FormatRecord(const Record& record) {
  const bool is_op = IsCall(record);
  std::string out = fmt::format("{{\"op\":\"{}\",\"{}\":{}", kKinds[static_cast<int>(record.kind)],
                                is_op ? "client" : "watcher", record.client);
  PutNumber(out, "session", record.session ? 1 : 0);
  PutNumber(out, is_op ? "invoke" : "time", record.invoke);
  PutNumber(out, "return", record.end);
  if (is_op) {
    PutText(out, "outcome", kOutcomes[static_cast<int>(record.outcome)]);
  }
  if (record.kind == RecordKind::kGet) {
    PutText(out, "mode", kModes[static_cast<int>(record.mode)]);
  }
  if (!record.key.empty()) PutText(out, "key", record.key);
  if (!record.range_end.empty()) PutText(out, "range_end", record.range_end);
  if (record.value) PutText(out, "value", *record.value);
  PutNumber(out, "max_staleness", record.max_staleness);
  PutNumber(out, "min_revision", record.min_revision);
  PutNumber(out, "revision", record.revision);
  PutNumber(out, "mod_revision", record.mod_revision);
  out += '}';
  return out;
}

StatusOr<Record> ParseRecord(std::string_view line) {
  Record record;
  bool has_op = false;
  COPPICE_RETURN_IF_ERROR(LineReader(line).Read(
      [&](const std::string& name, std::string* text, std::int64_t number) -> Status {
        has_op |= name == "op";
        if (text != nullptr) return SetText(name, *text, record);
        SetNumber(name, number, record);
        return OkStatus();
      }));
  if (!has_op) return Malformed("no \"op\"");
  return record;
}

StatusOr<History> ReadHistory(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return MakeStatus(StatusCode::kNotFound,
                      fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  History history;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    auto record = ParseRecord(line);
    if (!record.ok()) return Annotate(record.status(), fmt::format("{}:{}", path, number));
    history.push_back(*std::move(record));
  }
  return history;
}

StatusOr<HistoryWriter> HistoryWriter::Create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return MakeStatus(StatusCode::kInvalidArgument,
                      fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  return HistoryWriter(file);
}

HistoryWriter::HistoryWriter(HistoryWriter&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)), failed_(other.failed_) {}

HistoryWriter::~HistoryWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

void HistoryWriter::Add(const Record& record) {
  const std::string line = FormatRecord(record) + "\n";
  failed_ |= std::fwrite(line.data(), 1, line.size(), file_) != line.size();
}

Status HistoryWriter::Close() {
  failed_ |= std::fclose(std::exchange(file_, nullptr)) != 0;
  if (!failed_) return OkStatus();
  return MakeStatus(StatusCode::kInternal, "the history could not be written: disk full?");
}

}  // namespace coppice::loadgen
