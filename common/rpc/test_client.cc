#include "common/rpc/test_client.h"

#include <chrono>
#include <span>

namespace coppice::rpc {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

}  // namespace

TestClient::TestClient(std::uint16_t port) {
  connection_ = std::make_unique<ClientConnection>(thread_.loop());
  thread_.Start();
  thread_.Call([&] {
    connection_->Connect("127.0.0.1", port, [this](const Status& status) {
      const std::lock_guard lock(mutex_);
      (status.ok() ? connected_ : lost_) = true;
      changed_.notify_all();
    });
    return 0;
  });
}

TestClient::~TestClient() {
  thread_.Stop();
  connection_.reset();
}

bool TestClient::WaitConnected() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return connected_; });
}

bool TestClient::WaitLost() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return lost_; });
}

std::uint64_t TestClient::NewKey() {
  const std::lock_guard lock(mutex_);
  return ++last_key_;
}

std::uint64_t TestClient::Unary(const std::string& method, const std::string& message,
                                Micros timeout, const std::vector<Header>& metadata) {
  const std::uint64_t key = NewKey();
  handles_[key] = thread_.Call([&] {
    const auto headers = connection_->Prepare("/test.Echo/" + method, metadata, timeout);
    return connection_->Unary(headers, message, key, *this);
  });
  return key;
}

std::vector<std::uint64_t> TestClient::UnaryEach(const std::string& message,
                                                 const std::string& name,
                                                 const std::vector<std::string>& values) {
  std::vector<std::uint64_t> keys;
  for (std::size_t i = 0; i < values.size(); ++i) keys.push_back(NewKey());
  thread_.Call([&] {
    const Header header(name, "");
    const auto headers = connection_->Prepare("/test.Echo/Unary", std::span(&header, 1));
    for (std::size_t i = 0; i < values.size(); ++i) {
      connection_->Set(headers, name, values[i]);
      handles_[keys[i]] = connection_->Unary(headers, message, keys[i], *this);
    }
    return 0;
  });
  return keys;
}

std::uint64_t TestClient::Stream(const std::string& method) {
  const std::uint64_t key = NewKey();
  handles_[key] = thread_.Call([&] {
    const auto headers = connection_->Prepare("/test.Echo/" + method, {});
    return connection_->Stream(headers, key, *this);
  });
  return key;
}

void TestClient::Send(std::uint64_t key, const std::string& message) {
  thread_.Call([&] {
    connection_->Send(handles_[key], message);
    return 0;
  });
}

void TestClient::HalfClose(std::uint64_t key) {
  thread_.Call([&] {
    connection_->HalfClose(handles_[key]);
    return 0;
  });
}

void TestClient::Cancel(std::uint64_t key) {
  thread_.Call([&] {
    connection_->Cancel(handles_[key]);
    return 0;
  });
}

void TestClient::Pause(std::uint64_t key, bool paused) {
  thread_.Call([&] {
    connection_->PauseReading(handles_[key], paused);
    return 0;
  });
}

bool TestClient::WaitBytes(std::uint64_t key, std::size_t bytes) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return results_[key].bytes >= bytes; });
}

TestClient::Result TestClient::Wait(std::uint64_t key) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [&] { return results_[key].finished; });
  return results_[key];
}

TestClient::Result TestClient::Peek(std::uint64_t key) {
  const std::lock_guard lock(mutex_);
  return results_[key];
}

void TestClient::OnMessage(std::uint64_t tag, std::string_view message) {
  const std::lock_guard lock(mutex_);
  Result& result = results_[tag];
  result.messages.emplace_back(message);
  result.bytes += message.size();
  changed_.notify_all();
}

void TestClient::OnTrailer(std::uint64_t tag, std::string_view name, std::string_view value) {
  const std::lock_guard lock(mutex_);
  results_[tag].trailers.emplace(name, value);
}

void TestClient::OnFinish(std::uint64_t tag, const Status& status) {
  const std::lock_guard lock(mutex_);
  Result& result = results_[tag];
  result.finished = true;
  result.code = status.code();
  result.error = MessageOf(status);
  changed_.notify_all();
}

}  // namespace coppice::rpc
