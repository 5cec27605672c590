#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/api/urls.h"
#include "common/io/loop.h"
#include "common/replica/registration.h"
#include "common/replica/registry_keeper.h"
#include "proxy/pool.h"

namespace coppice::proxy {

// Keeps a proxy in the registry: sends its registration, then signs of life, over the connection to
// the leader, or to whoever passes them on. One per process. Thread: the pool's loop.
class Registrar {
 public:
  struct Options {
    replica::Registration self;  // without addresses
    std::vector<api::Url> advertised;
    std::vector<api::Url> listening;  // advertised if nothing else is
    std::vector<api::Url> metrics;
  };
  Registrar(io::Loop& loop, Pool& pool, Options options);
  ~Registrar();
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;

  // Backends or the registry changed.
  void OnChange();

 private:
  io::Connection* Upstream() const;
  void Describe(const io::Connection& upstream);
  void Send();
  void ArmTimer();

  io::Loop& loop_;
  Pool& pool_;
  Options options_;
  replica::RegistryRenewer renewer_;
  bool described_ = false;
  bool said_refused_ = false;
  std::uint64_t upstream_ = 0;  // io::Connection::id() of the last one sent to
  io::Loop::TimerId timer_ = 0;
};

}  // namespace coppice::proxy
