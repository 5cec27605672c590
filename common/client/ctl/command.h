#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/client/ctl/exit.h"
#include "common/client/ctl/flags.h"
#include "common/client/ctl/printer.h"
#include "common/client/ctl/session.h"

namespace coppice::ctl {

// What a command runs with. `options` holds the global flags; a command may add to the consistency
// ones before its first call.
struct Context {
  Options& options;
  Session& session;
  Printer& printer;
};

// One verb. Made, given its flags, run once.
class Command {
 public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;   // "put", "endpoint status"
  virtual std::string usage() const = 0;  // its arguments
  virtual std::string summary() const = 0;
  virtual void AddFlags(FlagSet&) {}
  virtual Outcome Run(Context& context, const std::vector<std::string>& arguments) = 0;
  // Whether what follows "--" is another program's command line.
  virtual void SetExec(std::vector<std::string>) {}
  virtual bool takes_exec() const { return false; }
};

using Commands = std::vector<std::unique_ptr<Command>>;
void AddKvCommands(Commands& out);
void AddTxnCommand(Commands& out);
void AddWatchCommand(Commands& out);
void AddEndpointCommands(Commands& out);
void AddClusterCommands(Commands& out);

// The flags by which a read says what it may be served from.
void AddConsistencyFlags(FlagSet& flags, Options& options);

}  // namespace coppice::ctl
