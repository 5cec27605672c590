#include "common/io/listen.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace coppice::io {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

Status Failure(const std::string& host, std::uint16_t port, const error_code& error) {
  std::string advice;
  if (error == boost::asio::error::address_in_use) {
    advice = ": another process listens there; stop it or choose another port";
  } else if (error == boost::asio::error::access_denied) {
    advice = ": choose a port of 1024 or more, or run with the right to bind it";
  } else if (error == boost::system::errc::address_not_available) {
    advice = ": this machine does not have that address";
  }
  return MakeStatus(StatusCode::kUnavailable, fmt::format("cannot listen on {}:{}: {}{}", host,
                                                          port, error.message(), advice));
}

}  // namespace

StatusOr<std::unique_ptr<tcp::acceptor>> ListenOn(boost::asio::io_context& context,
                                                  const std::string& host, std::uint16_t port) {
  error_code error;
  tcp::resolver resolver(context);
  const auto results = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || results.empty()) return Failure(host, port, error);
  // A name with both kinds of address, as localhost may be, is listened on at its IPv4 one, as etcd
  // does: 127.0.0.1 is what clients have by default.
  const auto v4 = std::find_if(results.begin(), results.end(), [](const auto& entry) {
    return entry.endpoint().address().is_v4();
  });
  const tcp::endpoint endpoint = (v4 != results.end() ? v4 : results.begin())->endpoint();
  auto acceptor = std::make_unique<tcp::acceptor>(context);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(4096, error);
  if (error) return Failure(host, port, error);
  return acceptor;
}

}  // namespace coppice::io
