#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "common/client/ctl/command.h"
#include "common/client/ctl/requests.h"
#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

std::string CancelReason(const etcdserverpb::WatchResponse& reply) {
  if (reply.compact_revision() != 0) {
    return "etcdserver: mvcc: required revision has been compacted";
  }
  return reply.cancel_reason().empty() ? "etcdserver: mvcc: required revision is a future revision"
                                       : reply.cancel_reason();
}

// Runs the command with the event in its environment; its exit code.
int RunProgram(const std::vector<std::string>& command, const mvccpb::Event& event,
               std::int64_t revision) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    setenv("ETCD_WATCH_REVISION", std::to_string(revision).c_str(), 1);
    const char* type = event.type() == mvccpb::Event::PUT ? "\"PUT\"" : "\"DELETE\"";
    setenv("ETCD_WATCH_EVENT_TYPE", type, 1);
    setenv("ETCD_WATCH_KEY", Quote(event.kv().key()).c_str(), 1);
    setenv("ETCD_WATCH_VALUE", Quote(event.kv().value()).c_str(), 1);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execvp(words[0], words.data());
    _exit(127);
  }
  int status = 1;
  if (child > 0) waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// Watches until the server cancels. The client library opens a stream that breaks again.
class WatchCommand final : public Command {
 public:
  std::string name() const override { return "watch"; }
  std::string usage() const override { return "<key> [range_end] [-- command arg1 arg2 ...]"; }
  std::string summary() const override { return "Watches events on keys or prefixes"; }
  bool takes_exec() const override { return true; }
  void SetExec(std::vector<std::string> words) override { program_ = std::move(words); }
  void AddFlags(FlagSet& flags) override {
    flags.Text("consistency", &consistency_,
               "linearizable (l, the default), bounded or serializable (s)");
    flags.Int("rev", &revision_, "the revision to start from");
    flags.Bool("prefix", &prefix_, "all keys that begin with the key");
    flags.Bool("prev-kv", &prev_kv_, "the previous key-value pair with each event");
    flags.Bool("progress-notify", &progress_, "print the server's progress while nothing happens");
  }

  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    if (arguments.empty() || arguments.size() > 2) return BadArgs("bad number of arguments");
    if (prefix_ && arguments.size() == 2) {
      return BadArgs("`range_end` and `--prefix` are mutually exclusive");
    }
    bool serializable = false;
    if (Outcome failed =
            ConsistencyMetadata(consistency_, context.options.consistency, serializable)) {
      return failed;
    }
    if (serializable) context.options.consistency = "serializable";
    FillCreate(arguments);
    const auto watcher = context.session.client().Watch(create_, context.session.AsFlagsSay());
    etcdserverpb::WatchResponse reply;
    while (watcher->Next(reply)) {
      if (Outcome failed = Show(context, reply)) return failed;
    }
    if (reply.canceled()) {
      fmt::print(stderr, "watch was canceled ({})\n", CancelReason(reply));
      context.printer.Watch(reply);
      return Failure{kExitInterrupted, "watch is canceled by the server"};
    }
    return watcher->reached() ? Error(Explain(watcher->status())) : context.session.Unreachable();
  }

 private:
  void FillCreate(const std::vector<std::string>& arguments) {
    create_.set_key(arguments[0]);
    if (arguments.size() == 2) create_.set_range_end(arguments[1]);
    if (prefix_) {
      create_.set_range_end(PrefixEnd(arguments[0]));
      if (arguments[0].empty()) create_.set_key(std::string(1, '\0'));
    }
    create_.set_start_revision(revision_);
    create_.set_prev_kv(prev_kv_);
    create_.set_progress_notify(progress_);
  }

  Outcome Show(Context& context, const etcdserverpb::WatchResponse& reply) const {
    if (reply.created()) return {};
    if (reply.events().empty()) {
      fmt::print("progress notify: {}\n", reply.header().revision());
    }
    Outcome shown = context.printer.Watch(reply);
    for (const auto& event : reply.events()) {
      if (shown || program_.empty()) break;
      if (RunProgram(program_, event, reply.header().revision()) != 0) {
        shown = Error(fmt::format("command {} failed", Quote(program_[0])));
      }
    }
    std::fflush(stdout);
    return shown;
  }

  std::string consistency_ = "l";
  std::int64_t revision_ = 0;
  bool prefix_ = false;
  bool prev_kv_ = false;
  bool progress_ = false;
  std::vector<std::string> program_;
  etcdserverpb::WatchCreateRequest create_;
};

}  // namespace

void AddWatchCommand(Commands& out) {
  out.push_back(std::make_unique<WatchCommand>());
}

}  // namespace coppice::ctl
