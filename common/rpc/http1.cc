#include "common/rpc/http1.h"

#include <algorithm>
#include <cctype>

namespace coppice::rpc {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kAnswersBytesMax = 1U << 20;

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

void AppendResponse(const HttpResponse& response, bool close, bool with_body, std::string& out) {
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  out.append(Reason(response.status)).append("\r\nContent-Type: ").append(response.content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(response.body.size()));
  if (close) out.append("\r\nConnection: close");
  out.append(kHeadEnd);
  if (with_body) out.append(response.body);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What the header lines say about the connection and a body.
struct Framing {
  bool close = false;
  bool keep_alive = false;
  bool body = false;
};

Framing ReadFraming(std::string_view lines) {
  Framing framing;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string name = Lower(line.substr(0, colon));
    const std::string value = Lower(Trim(line.substr(colon + 1)));
    if (name == "connection") {
      framing.close = framing.close || value.find("close") != std::string::npos;
      framing.keep_alive = framing.keep_alive || value.find("keep-alive") != std::string::npos;
    }
    if (name == "content-length") framing.body = framing.body || value != "0";
    if (name == "transfer-encoding") framing.body = true;
  }
  return framing;
}

}  // namespace

bool Http1Session::Receive(std::string_view bytes, std::string& out) {
  unread_.append(bytes);
  while (true) {
    const std::size_t end = unread_.find(kHeadEnd);
    if (end == std::string::npos || end > kRequestBytesMax) {
      if (unread_.size() <= kRequestBytesMax) return true;
      AppendResponse({431, "text/plain", "request header too large\n"}, true, true, out);
      return false;
    }
    const std::string head = unread_.substr(0, end);
    unread_.erase(0, end + kHeadEnd.size());
    // Who asks for so much at once is answered that far: answers are larger than requests.
    if (!Answer(head, out) || out.size() > kAnswersBytesMax) return false;
  }
}

bool Http1Session::Answer(std::string_view head, std::string& out) {
  const std::size_t line_end = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, line_end);
  const std::size_t space = line.find(' ');
  const std::size_t last = line.rfind(' ');
  const bool well_formed = space != std::string_view::npos && last > space + 1 &&
                           line.substr(last + 1).starts_with("HTTP/1.");
  if (!well_formed) {
    AppendResponse({400, "text/plain", "not an HTTP/1.1 request\n"}, true, true, out);
    return false;
  }
  const std::string_view method = line.substr(0, space);
  std::string_view target = line.substr(space + 1, last - space - 1);
  const Framing framing = ReadFraming(head.substr(std::min(line_end + 2, head.size())));
  if ((method != "GET" && method != "HEAD") || framing.body) {
    AppendResponse({405, "text/plain",
                    "only GET without a body is answered here; etcd's JSON gateway is not built, "
                    "speak gRPC\n"},
                   true, true, out);
    return false;
  }
  const bool old = line.ends_with("HTTP/1.0");
  const bool close = framing.close || (old && !framing.keep_alive);
  const std::size_t mark = std::min(target.find('?'), target.size());
  const std::string_view query = target.substr(std::min(mark + 1, target.size()));
  const HttpResponse response =
      handler_ ? handler_(target.substr(0, mark), query) : HttpResponse{404, "text/plain", ""};
  AppendResponse(response, close, method == "GET", out);
  return !close;
}

}  // namespace coppice::rpc
