#include "common/client/ctl/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <iterator>
#include <optional>

#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;

bool ParseNumber(std::string_view text, int base, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

// The key and range_end of arguments with --prefix or --from-key.
template <typename Request>
Outcome SetRange(std::span<const std::string> arguments, bool prefix, bool from_key,
                 std::string_view command, Request& out) {
  const std::string open_end(1, '\0');
  if (arguments.empty()) {
    return BadArgs(fmt::format(
        "{} command needs one argument as key and an optional argument as range_end", command));
  }
  if (prefix && from_key) {
    return BadArgs("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
  out.set_key(arguments[0]);
  if (arguments.size() > 1) {
    if (prefix || from_key) {
      return BadArgs(
          "too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
    }
    out.set_range_end(arguments[1]);
  }
  if (prefix || from_key) {
    out.set_range_end(prefix ? PrefixEnd(arguments[0]) : open_end);
    if (arguments[0].empty()) out.set_key(open_end);
  }
  return {};
}

Outcome SetSort(const std::string& order, const std::string& target, RangeRequest& out) {
  const std::string order_name = Upper(order);
  const std::string target_name = Upper(target);
  if (order_name == "ASCEND") {
    out.set_sort_order(RangeRequest::ASCEND);
  } else if (order_name == "DESCEND") {
    out.set_sort_order(RangeRequest::DESCEND);
  } else if (!order.empty()) {
    return BadFeature("bad sort order " + order);
  }
  if (target_name == "CREATE") {
    out.set_sort_target(RangeRequest::CREATE);
  } else if (target_name == "MODIFY") {
    out.set_sort_target(RangeRequest::MOD);
  } else if (target_name == "VALUE") {
    out.set_sort_target(RangeRequest::VALUE);
  } else if (target_name == "VERSION") {
    out.set_sort_target(RangeRequest::VERSION);
  } else if (!target.empty() && target_name != "KEY") {
    return BadFeature("bad sort target " + target);
  }
  // Keys come in ascending order anyway: the server need not sort.
  if (out.sort_target() == RangeRequest::KEY && out.sort_order() == RangeRequest::ASCEND) {
    out.set_sort_order(RangeRequest::NONE);
  }
  return {};
}

std::optional<Compare::CompareResult> ParseOperator(std::string_view op) {
  if (op == "=") return Compare::EQUAL;
  if (op == "!=") return Compare::NOT_EQUAL;
  if (op == ">") return Compare::GREATER;
  if (op == "<") return Compare::LESS;
  return std::nullopt;
}

// Sets target and value of a compare; false if `value` is no number where it must be one.
bool SetTarget(std::string_view target, const std::string& value, Compare& out, bool& known) {
  std::int64_t number = 0;
  known = true;
  if (target == "val" || target == "value") {
    out.set_target(Compare::VALUE);
    out.set_value(value);
    return true;
  }
  const bool is_lease = target == "lease";
  const bool is_number = ParseNumber(value, is_lease ? 16 : 10, number);
  if (target == "ver" || target == "version") {
    out.set_target(Compare::VERSION);
    out.set_version(number);
  } else if (target == "c" || target == "create") {
    out.set_target(Compare::CREATE);
    out.set_create_revision(number);
  } else if (target == "m" || target == "mod") {
    out.set_target(Compare::MOD);
    out.set_mod_revision(number);
  } else if (is_lease) {
    out.set_target(Compare::LEASE);
    out.set_lease(number);
  } else {
    known = false;
  }
  return is_number;
}

constexpr std::string_view kSpaces = " \t";

void SkipSpaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
}

Failure InvalidInput(std::string_view what, std::string_view line) {
  return {kExitInvalidInput, fmt::format("{}: {}", what, line)};
}

}  // namespace

Outcome ConsistencyMetadata(const std::string& flag, std::string& metadata, bool& serializable) {
  metadata.clear();
  serializable = flag == "s" || flag == "serializable";
  if (flag == "l" || flag == "s") return {};
  if (flag != "linearizable" && flag != "bounded" && flag != "serializable") {
    return BadFeature(
        fmt::format("unknown consistency flag {}; there are linearizable (l), bounded and "
                    "serializable (s)",
                    Quote(flag)));
  }
  metadata = flag;
  return {};
}

void GetFlags::Add(FlagSet& flags) {
  flags.Text("consistency", &consistency,
             "linearizable (l, the default), bounded or serializable (s)");
  flags.Text("order", &order, "order of results: ASCEND or DESCEND");
  flags.Text("sort-by", &sort_by, "CREATE, KEY, MODIFY, VALUE or VERSION");
  flags.Int("limit", &limit, "maximum number of results");
  flags.Int("rev", &revision, "read as of this revision");
  flags.Bool("prefix", &prefix, "all keys that begin with the key");
  flags.Bool("from-key", &from_key, "all keys from the key on");
  flags.Bool("keys-only", &keys_only, "leave out the values");
  flags.Bool("count-only", &count_only, "only the number of keys");
}

Outcome GetFlags::Build(std::span<const std::string> arguments, RangeRequest& out) const {
  std::string metadata;
  bool serializable = false;
  if (Outcome failed = SetRange(arguments, prefix, from_key, "get", out)) return failed;
  if (Outcome failed = ConsistencyMetadata(consistency, metadata, serializable)) return failed;
  out.set_serializable(serializable);
  out.set_limit(limit);
  if (revision > 0) out.set_revision(revision);
  out.set_keys_only(keys_only);
  out.set_count_only(count_only);
  return SetSort(order, sort_by, out);
}

void PutFlags::Add(FlagSet& flags) {
  flags.Text("lease", &lease, "lease ID (in hexadecimal) to attach to the key");
  flags.Bool("prev-kv", &prev_kv, "return the previous key-value pair");
  flags.Bool("ignore-value", &ignore_value, "keep the key's current value");
  flags.Bool("ignore-lease", &ignore_lease, "keep the key's current lease");
}

Outcome PutFlags::Build(std::span<const std::string> arguments, bool from_stdin,
                        etcdserverpb::PutRequest& out) const {
  constexpr const char* kArguments =
      "put command needs 1 argument and input from stdin or 2 arguments";
  if (arguments.empty() || arguments.size() > 2) return BadArgs(kArguments);
  out.set_key(arguments[0]);
  if (ignore_value) {
    if (arguments.size() > 1) {
      return BadArgs("put command needs only 1 argument when 'ignore-value' is set");
    }
  } else if (arguments.size() == 2) {
    out.set_value(arguments[1]);
  } else {
    if (from_stdin) {
      out.set_value(std::string(std::istreambuf_iterator<char>(std::cin), {}));
    }
    if (out.value().empty()) return BadArgs(kArguments);
  }
  std::int64_t id = 0;
  if (!ParseNumber(lease, 16, id)) {
    return BadArgs(fmt::format("bad lease ID ({}), expecting ID in Hex", Quote(lease)));
  }
  out.set_lease(id);
  out.set_prev_kv(prev_kv);
  out.set_ignore_value(ignore_value);
  out.set_ignore_lease(ignore_lease);
  return {};
}

void DelFlags::Add(FlagSet& flags) {
  flags.Bool("prefix", &prefix, "all keys that begin with the key");
  flags.Bool("from-key", &from_key, "all keys from the key on");
  flags.Bool("prev-kv", &prev_kv, "return the deleted key-value pairs");
}

Outcome DelFlags::Build(std::span<const std::string> arguments,
                        etcdserverpb::DeleteRangeRequest& out) const {
  if (Outcome failed = SetRange(arguments.size() > 2 ? arguments.first(0) : arguments, prefix,
                                from_key, "del", out)) {
    return failed;
  }
  out.set_prev_kv(prev_kv);
  return {};
}

Outcome ParseCompare(std::string_view line, Compare& out) {
  const std::size_t open = line.find('(');
  if (open == std::string_view::npos) return InvalidInput("malformed comparison", line);
  const std::string_view target = line.substr(0, open);
  std::string_view rest = line.substr(open + 1);
  std::string key;
  std::string value;
  if (!Unquote(rest, key) || !rest.starts_with(')')) {
    return InvalidInput("malformed comparison (expecting TARGET(\"key\") OP \"value\")", line);
  }
  rest.remove_prefix(1);
  SkipSpaces(rest);
  const std::string_view op = rest.substr(0, rest.find_first_of(kSpaces));
  rest.remove_prefix(op.size());
  SkipSpaces(rest);
  if (!Unquote(rest, value)) {
    return InvalidInput("malformed comparison (the value must be in quotes)", line);
  }
  const auto result = ParseOperator(op);
  if (!result) return InvalidInput("malformed comparison (expecting =, !=, < or >)", line);
  bool known = false;
  const bool is_good = SetTarget(target, value, out, known);
  if (!known)
    return InvalidInput(fmt::format("malformed comparison: unknown target {}", target), line);
  if (!is_good) return InvalidInput("invalid txn compare request", line);
  out.set_key(key);
  out.set_result(*result);
  return {};
}

Outcome ParseOp(std::string_view line, etcdserverpb::RequestOp& out) {
  std::vector<std::string> words;
  if (!SplitWords(line, words) || words.size() < 2) {
    return InvalidInput("invalid txn request", line);
  }
  FlagSet flags;
  GetFlags get;
  PutFlags put;
  DelFlags del;
  bool values_only = false;  // taken so that a line that works alone works here
  std::vector<std::string> arguments;
  const std::string& verb = words[0];
  if (verb == "get") {
    get.Add(flags);
    flags.Bool("print-value-only", &values_only, "");
  }
  if (verb == "put") put.Add(flags);
  if (verb == "del") del.Add(flags);
  if (const Outcome failed = flags.Parse(std::span(words).subspan(1), arguments)) {
    return InvalidInput(fmt::format("invalid txn request ({})", failed->message), line);
  }
  // What is wrong with the arguments ends as it does outside a transaction, as in etcdctl.
  if (verb == "get") return get.Build(arguments, *out.mutable_request_range());
  if (verb == "put") return put.Build(arguments, false, *out.mutable_request_put());
  if (verb == "del") return del.Build(arguments, *out.mutable_request_delete_range());
  return InvalidInput("invalid txn request (expecting get, put or del)", line);
}

}  // namespace coppice::ctl
