#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/client/ctl/exit.h"
#include "common/client/ctl/session.h"

namespace coppice::ctl {

struct EndpointStatus {
  std::string endpoint;
  etcdserverpb::StatusResponse status;
};
struct EndpointHealth {
  std::string endpoint;
  bool healthy = false;
  std::int64_t took_nanos = 0;
  std::string error;
};
struct EndpointHash {
  std::string endpoint;
  etcdserverpb::HashKVResponse hash;
};

// Writes replies on stdout as etcdctl's `--write-out` formats do. What a format does not have is
// refused as etcdctl refuses it.
class Printer {
 public:
  virtual ~Printer() = default;
  virtual Outcome Put(const etcdserverpb::PutResponse&) { return Refuse(); }
  virtual Outcome Get(const etcdserverpb::RangeResponse&) { return Refuse(); }
  virtual Outcome Del(const etcdserverpb::DeleteRangeResponse&) { return Refuse(); }
  virtual Outcome Txn(const etcdserverpb::TxnResponse&) { return Refuse(); }
  virtual Outcome Watch(const etcdserverpb::WatchResponse&) { return Refuse(); }
  virtual Outcome Members(const etcdserverpb::MemberListResponse&) { return Refuse(); }
  virtual Outcome Statuses(const std::vector<EndpointStatus>&) { return Refuse(); }
  virtual Outcome Healths(const std::vector<EndpointHealth>&) { return Refuse(); }
  virtual Outcome Hashes(const std::vector<EndpointHash>&) { return Refuse(); }
  virtual Outcome Cluster(const coppice::ClusterStatusResponse&) { return Refuse(); }

  // Only the values of a get; false where the format cannot.
  virtual bool ValuesOnly() { return false; }
  // Whether a bare count can be shown.
  virtual bool ShowsCount() const { return false; }

 protected:
  virtual Outcome Refuse() const = 0;
};

// simple, fields, json, table; null for any other name.
std::unique_ptr<Printer> MakePrinter(const std::string& format, bool hex);

std::unique_ptr<Printer> MakeSimplePrinter(bool hex);
std::unique_ptr<Printer> MakeFieldsPrinter();
std::unique_ptr<Printer> MakeJsonPrinter();
std::unique_ptr<Printer> MakeTablePrinter();

// The rows that simple and table share.
using Row = std::vector<std::string>;
const Row& MemberHeads();
std::vector<Row> MemberRows(const etcdserverpb::MemberListResponse& reply);
const Row& StatusHeads();
std::vector<Row> StatusRows(const std::vector<EndpointStatus>& list);
const Row& ClusterHeads();
std::vector<Row> ClusterRows(const coppice::ClusterStatusResponse& reply);

}  // namespace coppice::ctl
