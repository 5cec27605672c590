#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/consistency.h"
#include "common/base/status.h"

namespace coppice::api {

// An address as the flags give it: http://host:port. Nothing is resolved here.
struct Url {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;

  [[nodiscard]] std::string ToString() const;   // "http://[::1]:2379"
  [[nodiscard]] std::string Authority() const;  // "[::1]:2379"
  [[nodiscard]] bool Wildcard() const;          // 0.0.0.0 or ::
  bool operator==(const Url&) const = default;
};

// An address to listen on for clients, with the consistency of those who ask for none there.
struct ListenUrl {
  Url url;
  Consistency default_consistency;
  bool operator==(const ListenUrl&) const = default;
};

// `flag` names the flag in the errors, which are InvalidArgument in one line that says what to do.
// Lists are separated by commas; an empty list, an empty element, a path, and until TLS is built
// https, are refused.
StatusOr<Url> ParseUrl(std::string_view flag, std::string_view text);
StatusOr<std::vector<Url>> ParseUrls(std::string_view flag, std::string_view text);
// With "?consistency=bounded&max-staleness=500ms".
StatusOr<std::vector<ListenUrl>> ParseListenUrls(std::string_view flag, std::string_view text);
// --initial-cluster: "v1=http://127.0.0.1:2380,v2=http://127.0.0.1:12380". A name may have several
// addresses; they are one element each, in the order given.
StatusOr<std::vector<std::pair<std::string, Url>>> ParseNamedUrls(std::string_view flag,
                                                                  std::string_view text);

}  // namespace coppice::api
