# What the tiers that hold a store share.
coppice_library(node
  SOURCES data_dir.cc io_node.cc io_services.cc leader_forwarder.cc maintenance.cc reads.cc
          replica_core.cc store_tier.cc tail_server.cc watch_services.cc
  DEPS node_backend api replica watch api_watch_edge mvcc io base)

coppice_test(node_store_test
  SOURCES data_dir_test.cc replica_core_test.cc watch_services_test.cc
  DEPS node disk)
