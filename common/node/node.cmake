# What the tiers that hold a store share; node_backend is what a proxy shares with them.
coppice_library(node
  SOURCES io_node.cc leader_forwarder.cc maintenance.cc reads.cc replica_core.cc
          tail_server.cc
  DEPS node_backend api replica mvcc io base)
