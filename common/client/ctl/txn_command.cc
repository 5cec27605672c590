#include <fmt/format.h>

#include <iostream>

#include "common/client/ctl/command.h"
#include "common/client/ctl/requests.h"

namespace coppice::ctl {
namespace {

// The lines up to an empty one, without surrounding spaces. A file that ends before is an error, as
// in etcdctl: a transaction cut short must not run.
Outcome ReadBlock(std::istream& in, const std::function<Outcome(const std::string&)>& each) {
  std::string line;
  while (std::getline(in, line) && !in.eof()) {
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) return {};
    line = line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
    if (Outcome failed = each(line)) return failed;
  }
  return Failure{kExitInvalidInput,
                 "EOF: a transaction is three blocks, each ended by an empty line"};
}

class TxnCommand final : public Command {
 public:
  std::string name() const override { return "txn"; }
  std::string usage() const override {
    return "(from stdin: compares, success and failure requests, each ended by an empty line)";
  }
  std::string summary() const override { return "Processes all the requests in one transaction"; }
  void AddFlags(FlagSet& flags) override {
    flags.Bool("interactive", &interactive_, "prompt for each block", 'i');
  }
  Outcome Run(Context& context, const std::vector<std::string>& arguments) override {
    if (!arguments.empty()) return BadArgs("txn command does not accept argument");
    etcdserverpb::TxnRequest request;
    if (Outcome failed = Read(request)) return failed;
    const auto result = context.session.client().Txn(request, context.session.AsFlagsSay());
    if (Outcome failed = context.session.Report(result)) return failed;
    return context.printer.Txn(result.reply);
  }

 private:
  void Prompt(const char* text) const {
    if (interactive_) std::cout << text << std::endl;
  }

  Outcome Read(etcdserverpb::TxnRequest& request) const {
    Prompt("compares:");
    if (Outcome failed = ReadBlock(std::cin, [&](const std::string& line) {
          return ParseCompare(line, *request.add_compare());
        })) {
      return failed;
    }
    Prompt("success requests (get, put, del):");
    if (Outcome failed = ReadBlock(std::cin, [&](const std::string& line) {
          return ParseOp(line, *request.add_success());
        })) {
      return failed;
    }
    Prompt("failure requests (get, put, del):");
    return ReadBlock(
        std::cin, [&](const std::string& line) { return ParseOp(line, *request.add_failure()); });
  }

  bool interactive_ = false;
};

}  // namespace

void AddTxnCommand(Commands& out) {
  out.push_back(std::make_unique<TxnCommand>());
}

}  // namespace coppice::ctl
