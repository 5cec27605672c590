#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace coppice::io {

// A listening TCP socket. `host` is an address or a name of this machine; port 0 asks for a free
// one. An address in use, not of this machine, or a privileged port: an error that names it and
// says what to do.
StatusOr<std::unique_ptr<boost::asio::ip::tcp::acceptor>> ListenOn(boost::asio::io_context& context,
                                                                   const std::string& host,
                                                                   std::uint16_t port);

}  // namespace coppice::io
