#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/time.h"
#include "common/client/client.h"
#include "common/client/ctl/exit.h"

namespace coppice::ctl {

// What every command shares.
struct Options {
  std::string endpoints = "127.0.0.1:2379";
  Micros dial_timeout = 2 * kSecond;
  Micros command_timeout = 5 * kSecond;
  std::string write_out = "simple";
  bool hex = false;
  bool show_served = false;
  // As docs/consistency.md says; empty: not sent. The server checks them.
  std::string consistency;
  std::string max_staleness;
  std::string min_revision;
};

using client::Kind;
using client::Stubs;

// What etcdctl would encrypt or authenticate and this program cannot: an https:// endpoint, or the
// environment's ETCDCTL_CACERT and the like. Better an error than a secret in plain text.
Outcome RefuseTlsAndUsers(const Options& options);

// The client library as a command line wants it: endpoints in the order given, an error at once
// when none can be reached, metadata from the flags. Thread: one; calls block.
class Session {
 public:
  explicit Session(const Options& options);

  const std::vector<std::string>& endpoints() const { return endpoints_; }
  client::Client& client() { return client_; }

  // The metadata of the consistency flags.
  client::CallOptions AsFlagsSay() const;
  // What to tell the user of a call that ended. Prints the reply's coppice-* trailers on stderr, if
  // --show-served asks for it.
  Outcome Report(const client::CallResult& result) const;
  Outcome Unreachable() const;

  // `call` as Client::Call has it. To whoever is there.
  template <typename Reply, typename Fn>
  Outcome Call(Kind kind, Reply& reply, Fn&& call) {
    auto result = client_.Call<Reply>(kind, AsFlagsSay(), std::forward<Fn>(call));
    reply = std::move(result.reply);
    return Report(result);
  }
  // To this endpoint alone, which need not be one of endpoints().
  template <typename Reply, typename Fn>
  Status CallAt(const std::string& endpoint, Reply& reply, Fn&& call) {
    client::Client one(OptionsFor({endpoint}));
    auto result = one.Call<Reply>(Kind::kRead, AsFlagsSay(), std::forward<Fn>(call));
    reply = std::move(result.reply);
    if (result.ok()) ShowServed(result);
    if (!result.ok() && !result.reached) {
      // As etcdctl says it.
      return MakeStatus(StatusCode::kDeadlineExceeded, "cannot connect");
    }
    return result.status;
  }

 private:
  client::ClientOptions OptionsFor(std::vector<std::string> endpoints) const;
  void ShowServed(const client::CallResult& result) const;

  const Options& options_;
  std::vector<std::string> endpoints_;
  client::Client client_;
};

// etcd's message for the user; what etcdctl says where gRPC has words of its own.
std::string Explain(const Status& status);

}  // namespace coppice::ctl
