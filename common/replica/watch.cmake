# The watch path at voters and learners. watch_wire is what a proxy needs of it too.
if(NOT TARGET mvcc)
  return()
endif()
coppice_library(watch_wire
  SOURCES watch_events.cc
  DEPS mvcc_types base)

coppice_library(watch
  SOURCES watch_hub.cc watch_index.cc
  DEPS watch_wire mvcc)

coppice_test(watch_test
  SOURCES watch_hub_test.cc
  DEPS watch)
