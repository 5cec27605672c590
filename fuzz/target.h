#pragma once

#include <string>
#include <string_view>
#include <vector>

// Parts that take bytes from strangers, each fed with inputs that libFuzzer makes (main.cc, preset
// `fuzz`) and, in every other build, with the seeds and the kept inputs of fuzz/corpus
// (corpus_test.cc).
namespace coppice::fuzz {

// Run does nothing, or aborts (COPPICE_CHECK, a sanitizer): beside "does not crash" each target has
// rules of its own that hold for all inputs. Same input, same run; nothing outlives it but loops.
struct Target {
  std::string_view name;  // of the folder in fuzz/corpus too
  void (*run)(std::string_view input);
  std::vector<std::string> (*seeds)();  // inputs that reach deep
};

Target EdgeTarget();  // HTTP/2, HTTP/1.1, gRPC, etcd's API: a client's bytes to a small node
Target
TransportTarget();   // packets, frames, Hello, envelope, requests and watches between processes
Target WalTarget();  // the log's files
Target RegistryTarget();  // registrations, renewals, the registry's rows and contents
Target KeysTarget();      // key ranges, metadata, addresses, durations
Target RequestsTarget();  // protobuf requests, commands, the store

}  // namespace coppice::fuzz
