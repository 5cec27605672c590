#include "common/rpc/test_service.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>

#include "common/base/check.h"

namespace coppice::rpc {
namespace {

class Counting : public CallHandler {
 public:
  explicit Counting(TestCounts& counts) : counts_(counts) {}
  void OnStart(Call& /*call*/) override { ++counts_.started; }
  void OnMessage(Call& call, std::string_view message) override {
    ++counts_.messages;
    Handle(call, message);
  }
  void OnHalfClose(Call& call) override {
    ++counts_.half_closed;
    Ended(call);
  }
  void OnDone(Call& call) override {
    ++counts_.done;
    Release(call);
  }

 protected:
  virtual void Handle(Call& call, std::string_view message) = 0;
  virtual void Ended(Call& /*call*/) {}
  virtual void Release(Call& /*call*/) {}
  static void Reply(Call& call, std::string_view message) { call.Write({&message, 1}); }

 private:
  TestCounts& counts_;
};

class Unary final : public Counting {
 public:
  using Counting::Counting;
  void Handle(Call& call, std::string_view message) override {
    if (message == "fail") {
      const std::pair<std::string_view, std::string_view> trailers[] = {{"coppice-test", "why"}};
      return call.Finish(MakeStatus(StatusCode::kInvalidArgument, "100% wrong: \xc3\xa9\n"),
                         trailers);
    }
    if (message == "metadata") {
      const Metadata& m = call.metadata();
      std::string text(m.consistency);
      text.append("|").append(m.max_staleness).append("|").append(m.min_revision);
      text.append("|").append(m.token).append("|").append(m.unknown_coppice);
      text.append(m.has_leader ? "|leader" : "|").append(m.any_coppice ? "|any" : "|");
      Reply(call, text);
      const std::pair<std::string_view, std::string_view> trailers[] = {
          {"coppice-served-by", "test"}, {"coppice-staleness", "12ms"}};
      return call.Finish(OkStatus(), trailers);
    }
    Reply(call, message);
    call.Finish(OkStatus());
  }
};

class Never final : public Counting {
 public:
  using Counting::Counting;
  void Handle(Call& /*call*/, std::string_view /*message*/) override {}
};

class ClientStream final : public Counting {
 public:
  using Counting::Counting;
  void OnStart(Call& call) override {
    Counting::OnStart(call);
    call.context = new std::string;
  }
  void Handle(Call& call, std::string_view message) override { Joined(call).append(message); }
  void Ended(Call& call) override {
    Reply(call, Joined(call));
    call.Finish(OkStatus());
  }
  void Release(Call& call) override { delete &Joined(call); }

 private:
  static std::string& Joined(Call& call) { return *static_cast<std::string*>(call.context); }
};

class ServerStream final : public Counting {
 public:
  using Counting::Counting;
  void Handle(Call& call, std::string_view message) override {
    const int count = std::atoi(std::string(message).c_str());
    for (int i = 0; i < count; ++i) Reply(call, std::to_string(i));
    call.Finish(OkStatus());
  }
};

class Bidi final : public Counting {
 public:
  using Counting::Counting;
  void Handle(Call& call, std::string_view message) override { Reply(call, message); }
  void Ended(Call& call) override { call.Finish(OkStatus()); }
};

class Endless final : public Counting {
 public:
  using Counting::Counting;
  void Handle(Call& call, std::string_view message) override { Reply(call, message); }
  void OnShutdown(Call& call) override {
    call.Finish(MakeStatus(StatusCode::kUnavailable, "going away"));
  }
};

class Flood final : public Counting {
 public:
  using Counting::Counting;
  void OnStart(Call& call) override {
    Counting::OnStart(call);
    call.context = new std::size_t(0);
  }
  void Handle(Call& call, std::string_view message) override {
    Left(call) = std::strtoull(std::string(message).c_str(), nullptr, 10);
    Fill(call);
  }
  void OnDrained(Call& call) override { Fill(call); }
  void Release(Call& call) override { delete &Left(call); }

 private:
  static std::size_t& Left(Call& call) { return *static_cast<std::size_t*>(call.context); }
  static void Fill(Call& call) {
    static const std::string kPiece(1024, 'f');
    std::size_t& left = Left(call);
    while (left > 0 && call.unsent_bytes() < Call::kHighWater) {
      const std::size_t size = std::min(left, kPiece.size());
      Reply(call, std::string_view(kPiece).substr(0, size));
      left -= size;
    }
    if (left == 0) call.Finish(OkStatus());
  }
};

class Parts final : public Counting {
 public:
  using Counting::Counting;
  void OnStart(Call& call) override {
    Counting::OnStart(call);
    call.context = new std::size_t(0);
  }
  void Handle(Call& call, std::string_view message) override {
    Left(call) = std::strtoull(std::string(message).c_str(), nullptr, 10);
    call.BeginParts(Left(call));
    Fill(call);
  }
  void OnDrained(Call& call) override { Fill(call); }
  void Release(Call& call) override { delete &Left(call); }

 private:
  static std::size_t& Left(Call& call) { return *static_cast<std::size_t*>(call.context); }
  static void Fill(Call& call) {
    static const std::string kPiece(16384, 'p');
    std::size_t& left = Left(call);
    while (left > 0 && call.unsent_bytes() < Call::kHighWater) {
      const std::size_t size = std::min(left, kPiece.size());
      call.AppendPart(std::string_view(kPiece).substr(0, size));
      left -= size;
    }
    if (left == 0) call.Finish(OkStatus());
  }
};

}  // namespace

TestService::TestService() {
  const auto add = [this](const std::string& name, bool client_streams, bool server_streams,
                          std::unique_ptr<CallHandler> handler) {
    methods_.push_back({"/test.Echo/" + name, client_streams, server_streams, handler.get()});
    handlers_.push_back(std::move(handler));
  };
  add("Unary", false, false, std::make_unique<Unary>(counts_));
  add("Never", false, false, std::make_unique<Never>(counts_));
  add("ClientStream", true, false, std::make_unique<ClientStream>(counts_));
  add("ServerStream", false, true, std::make_unique<ServerStream>(counts_));
  add("Bidi", true, true, std::make_unique<Bidi>(counts_));
  add("Endless", true, true, std::make_unique<Endless>(counts_));
  add("Flood", false, true, std::make_unique<Flood>(counts_));
  add("Parts", false, true, std::make_unique<Parts>(counts_));
  methods_.push_back({"/test.Echo/Unbuilt", false, false, nullptr});
}

TestService::~TestService() = default;

std::vector<MethodSpec> TestService::Methods() {
  return methods_;
}

TestServer::TestServer(const ServerOptions& options) : thread_("server") {
  server_ = std::make_unique<Server>(
      thread_.loop(), options, service_.Methods(),
      [](std::string_view path, std::string_view query) {
        if (path == "/health")
          return HttpResponse{200, "application/json", "{\"health\":\"true\"}"};
        if (path == "/query") return HttpResponse{200, "text/plain", std::string(query)};
        return HttpResponse{404, "text/plain", "no such page\n"};
      });
  acceptor_ = std::make_unique<Acceptor>(
      thread_.loop(), std::vector<std::pair<io::Loop*, Server*>>{{&thread_.loop(), server_.get()}});
  const auto port = acceptor_->Listen("127.0.0.1", 0, 7);
  COPPICE_CHECK(port.ok());
  port_ = *port;
  thread_.Start();
}

TestServer::~TestServer() {
  thread_.Stop();
  acceptor_.reset();
  server_.reset();
}

std::size_t TestServer::Calls() {
  return thread_.Call([this] { return server_->calls(); });
}

std::size_t TestServer::Connections() {
  return server_->connections();
}

bool TestServer::Eventually(const std::function<bool()>& condition) {
  // Nothing tells a test of what happens inside the server, so it looks again every millisecond.
  std::mutex mutex;
  std::condition_variable never;
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    std::unique_lock lock(mutex);
    never.wait_for(lock, std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace coppice::rpc
