#!/usr/bin/env python3
"""deploy/local.sh with stand-in programs that only listen: starting, stopping and saying what is
wrong are its own work, whatever the programs do."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from e2e.harness import free_base_port
from cluster import start_time

HERE = os.path.dirname(os.path.abspath(__file__))
STAND_IN = '''#!/usr/bin/env python3
import http.server, os, signal, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
name = flags["--name"]
if os.path.exists(os.path.join(os.path.dirname(__file__), "refuse-" + name)):
    sys.exit("cannot start: the disk is full")
if os.path.exists(os.path.join(os.path.dirname(__file__), "stubborn-" + name)):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"etcd_server_is_leader %d\\n" % (name == "v2")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
host, port = flags["--listen-metrics-urls"].removeprefix("http://").split(":")
print("ready to serve client requests", flush=True)
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
'''


class LocalTest(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="local-test-")
        self.addCleanup(shutil.rmtree, self.top)
        self.bin = os.path.join(self.top, "bin")
        os.mkdir(self.bin)
        for role in ("voter", "learner", "proxy"):
            path = os.path.join(self.bin, f"coppice-{role}")
            with open(path, "w", encoding="utf-8") as f:
                f.write(STAND_IN)
            os.chmod(path, 0o755)
        self.dir = os.path.join(self.top, "cluster")
        self.port = free_base_port()
        self.addCleanup(self.local, "down")

    def local(self, *words):
        return subprocess.run([os.path.join(HERE, "local.sh"), "--dir", self.dir,
                               "--bin-dir", self.bin, *words], check=False,
                              capture_output=True, text=True, timeout=60)

    def good(self, *words):
        done = self.local(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def bad(self, *words):
        done = self.local(*words)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    def up(self):
        return self.good("up", "--voters", "2", "--learners", "1", "--proxies", "1",
                         "--base-port", str(self.port))

    def states(self):
        return {line.split()[0]: line.split()[3]
                for line in self.good("status").splitlines()[1:]}

    def mark(self, what):
        open(os.path.join(self.bin, what), "w", encoding="utf-8").close()

    def test_up_starts_all_and_down_leaves_nothing(self):
        self.assertIn("2 voters, 1 learners, 1 proxies", self.up())
        self.assertEqual(self.states(), {n: "ready" for n in ("v1", "v2", "l1", "p1")})
        pids = [int(self.good("pid", n)) for n in ("v1", "v2", "l1", "p1")]
        self.assertEqual(self.good("endpoints", "voter"),
                         f"127.0.0.1:{self.port},127.0.0.1:{self.port + 3}")
        self.assertEqual(self.good("leader"), "v2")
        self.good("down")
        self.assertEqual([start_time(pid) for pid in pids], [None] * 4)
        self.assertFalse(os.path.exists(self.dir))

    def test_one_process_is_stopped_killed_paused_and_comes_back(self):
        self.up()
        self.good("kill", "v1")
        self.good("stop", "l1")
        self.good("pause", "p1")
        states = self.states()
        self.assertEqual((states["v1"], states["l1"], states["p1"]),
                         ("stopped", "stopped", "paused"))
        self.assertIn("v1 is not running; start it", self.bad("kill", "v1"))
        self.good("resume", "p1")
        self.good("start", "v1")
        self.up()
        self.assertEqual(set(self.states().values()), {"ready"})

    def test_a_learner_is_added(self):
        self.up()
        self.assertEqual(self.good("add-learner"), "l2")
        self.assertEqual(self.states()["l2"], "ready")
        self.assertIn(f"127.0.0.1:{self.port + 103}", self.good("endpoints", "learner"))

    def test_up_says_who_is_not_ready_and_shows_its_log(self):
        self.mark("refuse-l1")
        error = self.bad("up", "--voters", "1", "--learners", "1", "--proxies", "0",
                         "--base-port", str(self.port))
        self.assertIn("l1 is not ready: it ended", error)
        self.assertIn("the disk is full", error)

    def test_a_reused_pid_is_not_ours(self):
        self.up()
        pid_file = os.path.join(self.dir, "v1.pid")
        with open(pid_file, encoding="utf-8") as f:
            pid = int(f.read().split()[0])
        with open(pid_file, "w", encoding="utf-8") as f:
            f.write(f"{os.getpid()} 12345\n")
        self.assertIn("v1 is not running", self.bad("kill", "v1"))
        os.kill(pid, signal.SIGKILL)

    def test_a_process_that_ignores_sigterm_is_killed_and_named(self):
        self.mark("stubborn-v1")
        self.up()
        done = self.local("stop", "v1")
        self.assertIn("v1 did not stop in time and was killed", done.stderr)
        self.assertEqual(self.states()["v1"], "stopped")

    def test_wrong_words_say_what_is_right(self):
        self.assertIn("start one with: deploy/local.sh up", self.bad("status"))
        self.up()
        self.assertIn("there are: v1 v2 l1 p1", self.bad("pid", "v9"))
        self.assertIn("first: deploy/local.sh down", self.bad("up", "--voters", "3"))


if __name__ == "__main__":
    unittest.main()
