#include "common/api/urls.h"

#include <charconv>

#include "common/api/metadata.h"

namespace coppice::api {
namespace {

// One line, whatever the text, which the problem may quote too.
Status Invalid(std::string_view flag, std::string_view text, std::string_view problem) {
  std::string message = std::string(flag) + ": \"" + std::string(text) + "\": ";
  message.append(problem);
  for (char& c : message) {
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  }
  return MakeStatus(StatusCode::kInvalidArgument, message);
}

// Names, IPv4 and IPv6 addresses, zones included.
bool IsHost(std::string_view host) {
  constexpr std::string_view kMarks = "-._:%";
  for (char c : host) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && kMarks.find(c) == std::string_view::npos)
      return false;
  }
  return !host.empty();
}

// host:port or [host]:port.
Status ParseAuthority(std::string_view flag, std::string_view text, std::string_view authority,
                      Url& out) {
  constexpr std::string_view kForm = "expected http://host:port";
  std::string_view host;
  std::string_view rest;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return Invalid(flag, text, "']' is missing");
    host = authority.substr(1, close - 1);
    rest = authority.substr(close + 1);
  } else {
    const std::size_t colon = authority.find(':');
    host = authority.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos) {
      return Invalid(flag, text, "an IPv6 address goes in brackets: http://[::1]:2379");
    }
  }
  if (!IsHost(host)) return Invalid(flag, text, kForm);
  if (rest.empty()) return Invalid(flag, text, "the port is missing; expected http://host:port");
  if (!rest.starts_with(':')) return Invalid(flag, text, kForm);
  rest.remove_prefix(1);
  const char* const end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, out.port);
  if (error != std::errc() || stop != end) {
    return Invalid(flag, text, "the port is not a number from 0 to 65535");
  }
  out.host = host;
  return OkStatus();
}

// Splits off the query and parses the rest.
Status ParseWithQuery(std::string_view flag, std::string_view text, Url& out,
                      std::string_view& query) {
  constexpr std::string_view kScheme = "http://";
  if (text.starts_with("https://")) {
    return Invalid(flag, text, "TLS is not supported yet; use http://");
  }
  if (!text.starts_with(kScheme)) return Invalid(flag, text, "expected http://host:port");
  std::string_view rest = text.substr(kScheme.size());
  const std::size_t mark = rest.find('?');
  query = mark == std::string_view::npos ? std::string_view() : rest.substr(mark + 1);
  rest = rest.substr(0, mark);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('/') != std::string_view::npos) {
    return Invalid(flag, text, "an address has no path");
  }
  return ParseAuthority(flag, text, rest, out);
}

// Calls `each` with the elements of a list; an empty one is an error.
template <typename Each>
Status Split(std::string_view flag, std::string_view text, Each each) {
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view element = rest.substr(0, comma);
    if (element.empty()) return Invalid(flag, text, "an address is empty");
    COPPICE_RETURN_IF_ERROR(each(element));
    if (comma == std::string_view::npos) return OkStatus();
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string Url::Authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}
std::string Url::ToString() const {
  return "http://" + Authority();
}
bool Url::Wildcard() const {
  return host == "0.0.0.0" || host == "::";
}

StatusOr<Url> ParseUrl(std::string_view flag, std::string_view text) {
  Url url;
  std::string_view query;
  COPPICE_RETURN_IF_ERROR(ParseWithQuery(flag, text, url, query));
  if (!query.empty()) return Invalid(flag, text, "this address takes no options after '?'");
  return url;
}

StatusOr<std::vector<Url>> ParseUrls(std::string_view flag, std::string_view text) {
  std::vector<Url> urls;
  COPPICE_RETURN_IF_ERROR(Split(flag, text, [&](std::string_view element) -> Status {
    COPPICE_ASSIGN_OR_RETURN(Url url, ParseUrl(flag, element));
    urls.push_back(std::move(url));
    return OkStatus();
  }));
  return urls;
}

StatusOr<std::vector<ListenUrl>> ParseListenUrls(std::string_view flag, std::string_view text) {
  std::vector<ListenUrl> urls;
  COPPICE_RETURN_IF_ERROR(Split(flag, text, [&](std::string_view element) -> Status {
    ListenUrl& listen = urls.emplace_back();
    std::string_view query;
    COPPICE_RETURN_IF_ERROR(ParseWithQuery(flag, element, listen.url, query));
    const Status parsed = ParseListenerDefault(query, listen.default_consistency);
    return parsed.ok() ? parsed : Invalid(flag, element, MessageOf(parsed));
  }));
  return urls;
}

StatusOr<std::vector<std::pair<std::string, Url>>> ParseNamedUrls(std::string_view flag,
                                                                  std::string_view text) {
  std::vector<std::pair<std::string, Url>> urls;
  COPPICE_RETURN_IF_ERROR(Split(flag, text, [&](std::string_view element) -> Status {
    const std::size_t equals = element.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return Invalid(flag, element, "expected name=http://host:port");
    }
    COPPICE_ASSIGN_OR_RETURN(Url url, ParseUrl(flag, element.substr(equals + 1)));
    urls.emplace_back(std::string(element.substr(0, equals)), std::move(url));
    return OkStatus();
  }));
  return urls;
}

}  // namespace coppice::api
