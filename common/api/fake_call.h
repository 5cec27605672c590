#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/api/node.h"
#include "common/base/check.h"
#include "common/rpc/server.h"

namespace coppice::api {

// A gRPC call that a test plays the client of.
class FakeCall final : public rpc::Call {
 public:
  rpc::CallId id() const override { return {}; }
  const rpc::Metadata& metadata() const override { return metadata_; }
  Time deadline() const override { return deadline_; }
  int listener() const override { return listener_; }
  void Write(std::span<const std::string_view> pieces) override {
    std::string& message = messages_.emplace_back();
    for (std::string_view piece : pieces) message.append(piece);
  }
  void BeginParts(std::size_t total) override {
    messages_.emplace_back();
    announced_ = total;
  }
  void AppendPart(std::string_view part) override {
    messages_.back().append(part);
    unsent_ += part.size();
  }
  void Finish(const Status& status,
              std::span<const std::pair<std::string_view, std::string_view>> trailers) override {
    COPPICE_CHECK(!finished_, "a call is finished once");
    finished_ = true;
    status_ = status;
    for (const auto& [name, value] : trailers) trailers_.emplace_back(name, value);
  }
  std::size_t unsent_bytes() const override { return unsent_; }

  rpc::Metadata metadata_;
  Time deadline_ = kNever;
  int listener_ = 0;
  std::size_t unsent_ = 0;
  std::size_t announced_ = 0;
  bool finished_ = false;
  Status status_;
  std::vector<std::string> messages_;
  std::vector<std::pair<std::string, std::string>> trailers_;
};

// A node that keeps what it is asked until the test answers.
class FakeNode final : public Node {
 public:
  void Serve(const Request& request, std::unique_ptr<Replier> replier) override {
    requests_.push_back(request);
    repliers_.push_back(std::move(replier));
  }
  std::vector<Request> requests_;
  std::vector<std::unique_ptr<Replier>> repliers_;
};

}  // namespace coppice::api
