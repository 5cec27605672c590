#!/usr/bin/env python3
"""Plants one violation of each kind in a small tree and sees deploy/tidy.py find it, and only it."""

import os
import shutil
import tempfile
import unittest

import tidy
import tidy_source

CLEAN = {
    "common/base/ids.h": "#pragma once\n#include <cstdint>\n",
    "common/raft/core.h": '#pragma once\n#include "common/base/ids.h"\n',
    "common/raft/core.cc": '#include "common/raft/core.h"\nint Step() {\n  return 1;\n}\n',
    "common/raft/core_test.cc": "#include <thread>\nTEST(Core, Steps) {\n  Step();\n}\n",
    "common/raft/CMakeLists.txt":
        "coppice_library(raft SOURCES core.cc DEPS base)\n"
        "coppice_test(raft_test SOURCES core_test.cc DEPS raft)\n",
    "common/base/CMakeLists.txt": "coppice_library(base SOURCES a.cc DEPS fmt::fmt)\n",
    "common/mvcc/CMakeLists.txt":
        "coppice_library(mvcc_types SOURCES ops.cc DEPS base)\n"
        "coppice_library(mvcc SOURCES store.cc DEPS mvcc_types)\n"
        "coppice_library(mvcc_rocksdb SOURCES rocks.cc DEPS mvcc RocksDB::rocksdb)\n",
    "common/mvcc/ops.h": '#pragma once\n#include "common/base/ids.h"\n',
    "common/mvcc/store.h": '#pragma once\n#include "common/mvcc/ops.h"\n',
    "common/mvcc/rocksdb_backend.cc": "#include <rocksdb/db.h>\n",
    "common/io/loop.h": "#pragma once\n#include <mutex>\n",
    "common/client/client.cc": "#include <grpcpp/grpcpp.h>\n",
    "proxy/router.h": '#pragma once\n#include "common/mvcc/ops.h"\n',
    "voter/main.cc": '#include "common/io/loop.h"\n#include "common/raft/core.h"\n',
    "deploy/run.sh": "#!/bin/sh\necho build/bin/x\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="tidy-test-")
        self.addCleanup(shutil.rmtree, self.root)
        for path, text in CLEAN.items():
            self.plant(path, text)
        os.chmod(os.path.join(self.root, "deploy/run.sh"), 0o755)

    def plant(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def assert_finds(self, rule, path, words=""):
        found = tidy.run(self.root)
        self.assertEqual({(f[0], f[3]) for f in found}, {(path, rule)}, found)
        self.assertIn(words, " ".join(f[2] for f in found))

    def test_a_clean_tree_has_nothing_to_find(self):
        self.assertEqual(tidy.run(self.root), [])

    def test_raft_including_io(self):
        self.plant("common/raft/types.cc", '#include "common/mvcc/store.h"\n')
        self.assert_finds("arrows", "common/raft/types.cc", "raft must not include mvcc")

    def test_api_seeing_the_store(self):
        self.plant("common/api/kv.cc", '#include "common/mvcc/ops.h"\n')
        self.assertEqual(tidy.run(self.root), [])
        self.plant("common/api/kv.cc", '#include "common/mvcc/store.h"\n')
        self.assert_finds("arrows", "common/api/kv.cc", "api must not include mvcc")

    def test_one_tier_including_another(self):
        self.plant("learner/main.cc", '#include "voter/driver.h"\n')
        self.assert_finds("arrows", "learner/main.cc", "learner must not include voter")

    def test_one_tier_including_another_in_a_test(self):
        self.plant("learner/CMakeLists.txt", "coppice_test(t SOURCES l_test.cc)")
        self.plant("learner/l_test.cc", '#include "voter/driver.h"\n')
        self.assert_finds("arrows", "learner/l_test.cc")

    def test_common_including_a_tier(self):
        self.plant("common/io/x.cc", '#include "proxy/router.h"\n')
        self.assert_finds("arrows", "common/io/x.cc")

    def test_proxy_getting_raft_through_another_header(self):
        self.plant("common/replica/shared.h", '#include "common/mvcc/store.h"\n')
        self.plant("proxy/main.cc", '#include "common/replica/shared.h"\n')
        self.assert_finds("arrows", "proxy/main.cc", "through common/replica/shared.h")

    def test_rocksdb_outside_its_backend(self):
        self.plant("common/mvcc/store.cc", "#include <rocksdb/db.h>\n")
        self.assert_finds("libraries", "common/mvcc/store.cc")

    def test_grpcpp_outside_the_client(self):
        self.plant("voter/main.cc", "#include <grpcpp/grpcpp.h>\n")
        self.assert_finds("libraries", "voter/main.cc")

    def test_each_impure_header_in_a_pure_part(self):
        for header in ("<thread>", "<mutex>", "<chrono>", "<boost/asio/ip/tcp.hpp>",
                       "<sys/socket.h>", "<unistd.h>", "<fcntl.h>"):
            with self.subTest(header):
                self.plant("proxy/router.h", f"#include {header}\n")
                self.assert_finds("pure", "proxy/router.h")

    def test_impurity_through_another_header(self):
        self.plant("common/base/ids.h", "#include <chrono>\n")
        self.plant("proxy/router.h", "")
        found = tidy.run(self.root)
        self.assertEqual({f[3] for f in found}, {"pure"})
        self.assertTrue(any("through common/base/ids.h" in f[2] for f in found))

    def test_each_pure_part_is_watched(self):
        for path in ("common/raft/a.cc", "common/replica/gate.cc", "common/replica/tail.h",
                     "common/replica/hub.cc", "common/replica/registry.h", "proxy/mux.cc",
                     "common/api/watch_session.cc"):
            with self.subTest(path):
                self.plant(path, "#include <thread>\n")
                self.assert_finds("pure", path)
                os.remove(os.path.join(self.root, path))

    def test_a_forbidden_link(self):
        self.plant("common/base/CMakeLists.txt",
                   "coppice_library(base\n  SOURCES a.cc\n  DEPS raft  # no\n)\n")
        self.assert_finds("links", "common/base/CMakeLists.txt", "must not link raft")

    def test_rocksdb_linked_elsewhere(self):
        self.plant("voter/CMakeLists.txt", "coppice_binary(v SOURCES m.cc DEPS RocksDB::rocksdb)")
        self.assert_finds("links", "voter/CMakeLists.txt", "RocksDB")

    def test_grpc_linked_by_a_tier(self):
        self.plant("voter/CMakeLists.txt", "coppice_binary(v SOURCES m.cc DEPS gRPC::grpc++)")
        self.assert_finds("links", "voter/CMakeLists.txt", "grpc++")

    def test_proxy_linking_a_store_through_another_library(self):
        self.plant("common/node/CMakeLists.txt",
                   "coppice_library(node SOURCES a.cc DEPS api mvcc)\n")
        self.plant("proxy/CMakeLists.txt", "coppice_binary(p SOURCES m.cc DEPS node)\n")
        self.assert_finds("links", "proxy/CMakeLists.txt", "p must not link mvcc")

    def test_targets_in_other_cmake_files_count(self):
        self.plant("common/io/more.cmake", "coppice_library(more SOURCES a.cc DEPS raft)\n")
        self.assert_finds("links", "common/io/more.cmake")

    def test_what_only_tests_compile_may_do_what_tests_may(self):
        self.plant("common/rpc/CMakeLists.txt",
                   "coppice_library(rpc_test_service SOURCES peer.cc DEPS base)\n")
        self.plant("common/rpc/peer.h", "#include <grpcpp/grpcpp.h>\n")
        self.assertEqual(tidy.run(self.root), [])
        self.plant("common/rpc/CMakeLists.txt",
                   "coppice_library(rpc SOURCES peer.cc DEPS base)\n")
        self.assert_finds("libraries", "common/rpc/peer.h")

    def test_a_header_that_only_tests_include_is_a_tests(self):
        self.plant("common/raft/world.h", "#include <thread>\n")
        self.assert_finds("pure", "common/raft/world.h")
        self.plant("common/raft/core_test.cc", '#include "common/raft/world.h"\n')
        self.assertEqual(tidy.run(self.root), [])

    def test_an_unregistered_test(self):
        self.plant("common/raft/new_core_test.cc", "TEST(A, B) {}\n")
        self.assert_finds("registered", "common/raft/new_core_test.cc")

    def test_each_way_to_sleep(self):
        for call in ("std::this_thread::sleep_for(a)", "usleep(3)", "sleep(1)"):
            with self.subTest(call):
                self.plant("common/raft/core_test.cc", "TEST(A, B) {\n  %s;\n}\n" % call)
                self.assert_finds("sleeps", "common/raft/core_test.cc")
        self.plant("common/raft/core_test.cc", 'TEST(A, B) {}  // no sleep(1) here\n')
        self.assertEqual(tidy.run(self.root), [])

    def test_a_long_file(self):
        self.plant("common/io/long.cc", "int a;\n" * 501)
        self.assert_finds("file-size", "common/io/long.cc", "needs a reason")

    def test_a_file_too_long_for_any_reason(self):
        self.plant("common/io/long.cc", "int a;\n" * 801)
        tidy.LONG_FILES["common/io/long.cc"] = "a reason"
        self.addCleanup(tidy.LONG_FILES.pop, "common/io/long.cc")
        self.assert_finds("file-size", "common/io/long.cc", "no excuse")

    def test_a_long_function(self):
        self.plant("voter/a.cc", "namespace a {\nint F(int b) {\n" + "  ++b;\n" * 69 + "}\n}\n")
        self.assert_finds("function-size", "voter/a.cc", "F has 71 lines")

    def test_a_long_python_function(self):
        self.plant("deploy/a.py", "def f():\n" + "    pass\n" * 70)
        self.assert_finds("function-size", "deploy/a.py", "f has 71 lines")

    def test_a_machines_path(self):
        for path in ("/" + "work/x", "/" + "home/me/x", "/" + "root/x"):
            with self.subTest(path):
                self.plant("docs/a.md", f"see {path}\n")
                self.assert_finds("machine-path", "docs/a.md")

    def test_a_script_that_cannot_be_executed(self):
        os.chmod(os.path.join(self.root, "deploy/run.sh"), 0o644)
        self.assert_finds("executable", "deploy/run.sh")

    def test_a_mutants_switch_that_is_not_compiled_in(self):
        self.plant("proxy/mux.cc", "bool Ahead() {\n  return COPPICE_MUTANT(kAhead);\n}\n")
        self.assert_finds("mutants", "proxy/mux.cc", "does not name it")
        self.plant("loadgen/sim/CMakeLists.txt", "set(mutated\n  proxy/mux.cc)\n")
        self.assertEqual(tidy.run(self.root), [])

    def test_a_mutants_switch_in_a_header(self):
        self.plant("proxy/mux.h", "inline bool Ahead() {\n  return COPPICE_MUTANT(kAhead);\n}\n")
        self.assert_finds("mutants", "proxy/mux.h", "a header")


class FunctionsTest(unittest.TestCase):
    def names(self, text):
        return [(name, lines) for name, _, lines in tidy_source.cpp_functions(text)]

    def test_bodies_are_told_from_classes_and_initializers(self):
        self.assertEqual(self.names("namespace a {\nstruct B {\n  int F() const {\n    return 1;\n"
                                    "  }\n  int c{1};\n};\n}\n"), [("F", 3)])

    def test_a_constructor_with_braced_members(self):
        self.assertEqual(self.names("A::A(int b) : b_{b}, c_(1) {\n  F();\n}\n"), [("A::A", 3)])

    def test_braces_in_literals_and_comments_do_not_count(self):
        text = 'void F() {\n  a = "{{"; // {\n  b = \'{\';\n  c = R"x({{{)x";\n}\nvoid G() {\n}\n'
        self.assertEqual(self.names(text), [("F", 5), ("G", 2)])

    def test_a_lambda_belongs_to_its_function(self):
        self.assertEqual(self.names("void F() {\n  G([](int a) {\n    return a;\n  });\n}\n"),
                         [("F", 5)])

    def test_digit_separators_are_not_literals(self):
        self.assertEqual(self.names("int a = 1'000'000;\nvoid F() {\n  b = 2'000;\n}\n"),
                         [("F", 3)])


if __name__ == "__main__":
    unittest.main()
