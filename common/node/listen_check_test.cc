#include "common/node/listen_check.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>

#include "common/io/listen.h"

namespace coppice::node {
namespace {

// A port of this machine that somebody listens on for as long as this lives.
struct Taken {
  boost::asio::io_context context;
  std::unique_ptr<boost::asio::ip::tcp::acceptor> acceptor = *io::ListenOn(context, "127.0.0.1", 0);
  api::Url url{"127.0.0.1", acceptor->local_endpoint().port()};
};

CommonFlags ClientsOn(const api::Url& url) {
  CommonFlags flags;
  flags.listen_client_urls = {{url, {}}};
  return flags;
}

const api::Url kAny{"127.0.0.1", 0};

TEST(ListenCheck, FreeAddressesAreFreeAfterwardsToo) {
  api::Url free;
  {
    const Taken taken;
    free = taken.url;
  }
  EXPECT_TRUE(CheckListening(ClientsOn(free), {kAny, kAny}).ok());
  EXPECT_TRUE(CheckListening(ClientsOn(kAny), {free}).ok());
}

TEST(ListenCheck, NamesTheAddressThatIsTakenWhicheverItIs) {
  const Taken taken;
  CommonFlags metrics = ClientsOn(kAny);
  metrics.listen_metrics_urls = {taken.url};
  for (const Status& status :
       {CheckListening(ClientsOn(taken.url), {}), CheckListening(ClientsOn(kAny), {taken.url}),
        CheckListening(metrics, {})}) {
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_NE(MessageOf(status).find(std::to_string(taken.url.port)), std::string::npos);
  }
}

TEST(ListenCheck, AnAddressGivenTwiceIsNotAnotherProcess) {
  const Status status = CheckListening(ClientsOn({"127.0.0.1", 4}), {{"127.0.0.1", 4}});
  EXPECT_NE(MessageOf(status).find("127.0.0.1:4"), std::string::npos) << MessageOf(status);
}

}  // namespace
}  // namespace coppice::node
