#pragma once

#include <cstdint>
#include <string>

#include "common/base/ids.h"
#include "common/base/rng.h"
#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

// What a client knows when it makes up a request.
struct Known {
  Revision highest = 0;  // revision seen by this client
  std::uint64_t cluster_id = 0;
  bool in_session = false;  // it sends the highest revision it has seen with each request
  bool own_write = false;   // `highest` is that of its own mutation
};

// A request ready to be sent, and what its record says of it.
struct Drawn {
  CallOptions options;
  OpRecord record;  // kind, mutation, tag, consistency, session, request
};

// Makes up requests of every kind that exists. Every mutation but a compaction carries a tag of its
// own (loadgen/oracle.h), every value written is unique. Thread: one. Pure: all randomness is
// `rng`.
class RequestDraw {
 public:
  RequestDraw(Rng rng, int client);

  Drawn Draw(const Known& known);
  Drawn DrawRead(const Known& known);
  // A watch to create, and the metadata of a stream.
  WatchCreated DrawWatch(const Known& known);
  // Of every key there is.
  static WatchCreated WatchOfAll(bool prev_kv);
  void DrawStream(const Known& known, CallOptions& options, StreamRecord& record);

  std::string Key();
  // From now on many values are of some thousand bytes, which fills what processes hold for a
  // stream that nobody reads.
  void WriteMuch() { writes_much_ = true; }

 private:
  std::string NextTag();
  std::string Value(const std::string& tag);
  Drawn Range(const Known& known);
  Drawn Put();
  Drawn Delete();
  Drawn Txn(const Known& known);
  Drawn ReadTxn(const Known& known);
  Drawn Compact(const Known& known);
  Drawn Admin(const Known& known);
  void Metadata(const Known& known, Drawn& drawn);
  void Bounds(const Known& known, CallOptions& options, Consistency& consistency, bool& session,
              bool& other_cluster);
  Revision AnyRevision(const Known& known);
  template <typename Message>
  void FillRange(const Known& known, Message& range);
  template <typename Message>
  void FillDelete(Message& erase, const std::string& tag);
  template <typename Message>
  void FillPut(Message& put, const std::string& value);
  template <typename Message>
  void FillTxn(const Known& known, Message& txn, const std::string& tag, int depth);
  template <typename Message>
  void AddCompare(Message& txn, const Known& known);

  Rng rng_;
  const int client_;
  bool writes_much_ = false;
  std::uint64_t tags_ = 0;
  int values_ = 0;  // of the running request
};

}  // namespace coppice::sim
