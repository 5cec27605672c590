# The Watch service: a pure session, and the gRPC method on it.
if(NOT TARGET mvcc)
  return()
endif()
coppice_library(api_watch
  SOURCES watch_request.cc watch_session.cc
  DEPS mvcc_types base)

coppice_test(api_watch_test
  SOURCES watch_session_test.cc
  DEPS api_watch)
