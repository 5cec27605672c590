#include "common/node/listen_check.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <set>
#include <string>

#include "common/io/listen.h"

namespace coppice::node {

Status CheckListening(const CommonFlags& flags, const std::vector<api::Url>& peer_urls) {
  std::vector<api::Url> urls;
  for (const api::ListenUrl& listen : flags.listen_client_urls) urls.push_back(listen.url);
  urls.insert(urls.end(), peer_urls.begin(), peer_urls.end());
  urls.insert(urls.end(), flags.listen_metrics_urls.begin(), flags.listen_metrics_urls.end());
  boost::asio::io_context context;
  std::vector<std::unique_ptr<boost::asio::ip::tcp::acceptor>> bound;
  std::set<std::string> seen;
  for (const api::Url& url : urls) {
    if (url.port != 0 && !seen.insert(url.ToString()).second) {
      return MakeStatus(StatusCode::kInvalidArgument,
                        fmt::format("{} is given twice: clients, peers and metrics each need an "
                                    "address of their own",
                                    url.ToString()));
    }
    COPPICE_ASSIGN_OR_RETURN(auto acceptor, io::ListenOn(context, url.host, url.port));
    bound.push_back(std::move(acceptor));
  }
  return OkStatus();
}

}  // namespace coppice::node
