#include "common/replica/registration.h"

#include "common/base/coding.h"
#include "common/replica/wire_fields.h"

namespace coppice::replica {

std::string CheckRegistration(const Registration& r) {
  if (r.id == NodeId(0)) return "registration without a node id";
  if (r.name.empty() || r.name.size() > kRegistrationNameMax) {
    return "a node's name has 1 to 256 bytes";
  }
  if (r.role < NodeRole::kVoter || r.role > NodeRole::kProxy) return "an unknown role";
  for (const auto* urls : {&r.client_urls, &r.peer_urls}) {
    if (urls->size() > kRegistrationUrlsMax) return "more than 16 addresses of a kind";
    for (const std::string& url : *urls) {
      if (url.empty() || url.size() > kRegistrationUrlBytesMax) return "an address is too long";
    }
  }
  if (r.metrics_url.size() > kRegistrationUrlBytesMax) return "the metrics address is too long";
  if (r.ttl < kRegistrationTtlMin || r.ttl > kRegistrationTtlMax) {
    return "a registration's TTL is 1 s to 600 s";
  }
  return {};
}

void PutRegistration(std::string& out, const Registration& r) {
  PutIntField(out, 1, r.id.value());
  PutBytesField(out, 2, r.name);
  PutIntField(out, 3, static_cast<std::uint64_t>(r.role));
  for (const std::string& url : r.client_urls) PutBytesField(out, 4, url);
  for (const std::string& url : r.peer_urls) PutBytesField(out, 5, url);
  PutBytesField(out, 6, r.metrics_url);
  PutIntField(out, 7, r.parent.value());
  PutIntField(out, 8, static_cast<std::uint64_t>(r.boot));
  PutIntField(out, 9, static_cast<std::uint64_t>(r.ttl));
}

namespace {

bool ReadNumber(std::uint32_t field, std::uint64_t number, Registration& out) {
  switch (field) {
    case 1:
      out.id = NodeId(number);
      return true;
    case 3:
      if (number < 1 || number > 3) return false;
      out.role = static_cast<NodeRole>(number);
      return true;
    case 7:
      out.parent = NodeId(number);
      return true;
    case 8:
      out.boot = static_cast<std::int64_t>(number);
      return true;
    case 9:
      out.ttl = static_cast<Micros>(number);
      return number != 0;  // left out it is the default, so that a zero could not be sent on
    default:
      return true;
  }
}

void ReadText(std::uint32_t field, std::string_view text, Registration& out) {
  if (field == 2) out.name = text;
  if (field == 4) out.client_urls.emplace_back(text);
  if (field == 5) out.peer_urls.emplace_back(text);
  if (field == 6) out.metrics_url = text;
}

}  // namespace

bool ReadRegistration(std::string_view bytes, Registration& out) {
  out = {};
  return ForEachField(
      bytes,
      [&](std::uint32_t field, std::uint64_t number) { return ReadNumber(field, number, out); },
      [&](std::uint32_t field, std::string_view text) {
        ReadText(field, text, out);
        return out.client_urls.size() <= kRegistrationUrlsMax &&
               out.peer_urls.size() <= kRegistrationUrlsMax;
      });
}

}  // namespace coppice::replica
