# The Watch service: a pure session, and the gRPC method on it.
coppice_library(api_watch
  SOURCES watch_request.cc watch_session.cc
  DEPS api_wire mvcc_types base)

coppice_library(api_watch_edge
  SOURCES watch_edge.cc
  DEPS api_watch api rpc io)

coppice_test(api_watch_test
  SOURCES watch_session_test.cc
  DEPS api_watch)

coppice_test(api_watch_edge_test
  SOURCES watch_edge_test.cc
  DEPS api_watch_edge coppice_proto)

# grpc++ is not built with sanitizers.
if(NOT COPPICE_SANITIZE)
  coppice_test(api_watch_grpcpp_test
    SOURCES watch_grpcpp_test.cc
    DEPS api_watch_edge rpc_test_service coppice_proto_grpc)
endif()
