# The watch path at voters and learners. watch_wire is what a proxy needs of it too.
coppice_library(watch_wire
  SOURCES watch_events.cc watch_wire.cc
  DEPS mvcc_types base)

coppice_library(watch
  SOURCES watch_connection.cc watch_history.cc watch_hub.cc watch_index.cc
  DEPS watch_wire mvcc)

coppice_test(watch_test
  SOURCES watch_connection_test.cc watch_history_test.cc watch_hub_test.cc watch_wire_test.cc
  DEPS watch mvcc_testing)
