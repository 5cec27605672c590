# The proxy's watches.
coppice_library(proxy_watch
  SOURCES watch_mux.cc watch_subscription.cc
  DEPS watch_wire mvcc_types base)

coppice_test(proxy_watch_test
  SOURCES watch_mux_random_test.cc watch_mux_test.cc watch_stream_test.cc
  DEPS proxy_watch watch api_watch mvcc)
