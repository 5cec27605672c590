#include <fmt/format.h>

#include <charconv>

#include "common/client/ctl/command.h"
#include "common/client/ctl/requests.h"
#include "common/client/ctl/text.h"

namespace coppice::ctl {
namespace {

class PutCommand final : public Command {
 public:
  std::string name() const override { return "put"; }
  std::string usage() const override { return "<key> <value> (without <value>: from stdin)"; }
  std::string summary() const override { return "Puts the given key into the store"; }
  void AddFlags(FlagSet& flags) override { flags_.Add(flags); }
  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    etcdserverpb::PutRequest request;
    if (Outcome failed = flags_.Build(arguments, true, request)) return failed;
    const auto result = context.session.client().Put(request, context.session.AsFlagsSay());
    if (Outcome failed = context.session.Report(result)) return failed;
    return context.printer.Put(result.reply);
  }

 private:
  PutFlags flags_;
};

class GetCommand final : public Command {
 public:
  std::string name() const override { return "get"; }
  std::string usage() const override { return "<key> [range_end]"; }
  std::string summary() const override { return "Gets the key or a range of keys"; }
  void AddFlags(FlagSet& flags) override {
    flags_.Add(flags);
    flags.Bool("print-value-only", &values_only_, "leave out the keys (simple output)");
  }
  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    etcdserverpb::RangeRequest request;
    if (Outcome failed = flags_.Build(arguments, request)) return failed;
    bool serializable = false;
    if (Outcome failed =
            ConsistencyMetadata(flags_.consistency, context.options.consistency, serializable)) {
      return failed;
    }
    if (values_only_ && !context.printer.ValuesOnly()) {
      return BadArgs("print-value-only is only for `--write-out=simple`");
    }
    if (flags_.count_only && !context.printer.ShowsCount()) {
      return BadArgs("--count-only is only for `--write-out=fields` and json");
    }
    const auto result = context.session.client().Range(request, context.session.AsFlagsSay());
    if (Outcome failed = context.session.Report(result)) return failed;
    return context.printer.Get(result.reply);
  }

 private:
  GetFlags flags_;
  bool values_only_ = false;
};

class DelCommand final : public Command {
 public:
  std::string name() const override { return "del"; }
  std::string usage() const override { return "<key> [range_end]"; }
  std::string summary() const override { return "Removes the key or a range of keys"; }
  void AddFlags(FlagSet& flags) override { flags_.Add(flags); }
  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    etcdserverpb::DeleteRangeRequest request;
    if (Outcome failed = flags_.Build(arguments, request)) return failed;
    const auto result = context.session.client().DeleteRange(request, context.session.AsFlagsSay());
    if (Outcome failed = context.session.Report(result)) return failed;
    return context.printer.Del(result.reply);
  }

 private:
  DelFlags flags_;
};

class CompactionCommand final : public Command {
 public:
  std::string name() const override { return "compaction"; }
  std::string usage() const override { return "<revision>"; }
  std::string summary() const override { return "Compacts the event history"; }
  void AddFlags(FlagSet& flags) override {
    flags.Bool("physical", &physical_,
               "for etcd, which waits until old revisions are removed; Coppice does not");
  }
  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    if (arguments.size() != 1) return BadArgs("compaction command needs 1 argument");
    const std::string& text = arguments[0];
    std::int64_t revision = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (error != std::errc() || end != text.data() + text.size()) {
      return Error(fmt::format("strconv.ParseInt: parsing {}: invalid syntax", Quote(text)));
    }
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    request.set_physical(physical_);
    const auto result = context.session.client().Compact(request, context.session.AsFlagsSay());
    if (Outcome failed = context.session.Report(result)) return failed;
    fmt::print("compacted revision {}\n", revision);
    return {};
  }

 private:
  bool physical_ = false;
};

}  // namespace

void AddConsistencyFlags(FlagSet& flags, Options& options) {
  flags.Text("max-staleness", &options.max_staleness,
             "with --consistency=bounded: how old at most, for example 250ms");
  flags.Text("min-revision", &options.min_revision,
             "not older than this revision: [<cluster id in hex>/]<revision>");
}

void AddKvCommands(Commands& out) {
  out.push_back(std::make_unique<PutCommand>());
  out.push_back(std::make_unique<GetCommand>());
  out.push_back(std::make_unique<DelCommand>());
  out.push_back(std::make_unique<CompactionCommand>());
}

}  // namespace coppice::ctl
