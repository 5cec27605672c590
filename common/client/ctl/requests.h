#pragma once

#include <span>
#include <string>
#include <string_view>

#include "common/client/ctl/exit.h"
#include "common/client/ctl/flags.h"
#include "etcd/rpc.pb.h"

namespace coppice::ctl {

// The flags and arguments of get, put and del, and the requests they mean: the commands and the
// lines of a txn share them.

struct GetFlags {
  std::string consistency = "l";
  std::string order{};
  std::string sort_by{};
  std::int64_t limit = 0;
  std::int64_t revision = 0;
  bool prefix = false;
  bool from_key = false;
  bool keys_only = false;
  bool count_only = false;

  void Add(FlagSet& flags);
  Outcome Build(std::span<const std::string> arguments, etcdserverpb::RangeRequest& out) const;
};

struct PutFlags {
  std::string lease = "0";  // hex
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;

  void Add(FlagSet& flags);
  // Without a value it is read from standard input, to its end, if `from_stdin`.
  Outcome Build(std::span<const std::string> arguments, bool from_stdin,
                etcdserverpb::PutRequest& out) const;
};

struct DelFlags {
  bool prefix = false;
  bool from_key = false;
  bool prev_kv = false;

  void Add(FlagSet& flags);
  Outcome Build(std::span<const std::string> arguments,
                etcdserverpb::DeleteRangeRequest& out) const;
};

// `mod("key") > "0"`
Outcome ParseCompare(std::string_view line, etcdserverpb::Compare& out);
// `put key "value" --lease=1`
Outcome ParseOp(std::string_view line, etcdserverpb::RequestOp& out);

// One of get's --consistency values, as the coppice-consistency metadata says it; empty for etcd's
// own `l` and `s`, which need no metadata.
Outcome ConsistencyMetadata(const std::string& flag, std::string& metadata, bool& serializable);

}  // namespace coppice::ctl
