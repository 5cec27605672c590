"""A network namespace for each process, joined by a router: partitions that drop packets silently.

Needs network and mount namespaces of our own (main.py enters them), so that nothing here is seen by
the machine or outlives the run. Each process has 10.77.N.2 behind a veth pair; the router is our own
namespace, where the load and the checks run. A pair is cut in one direction by a rule that makes its
route a blackhole, as a firewall that drops would; a link is throttled by a token bucket.
"""

import subprocess


class Namespaces:
    """The same faults as fault_proxy.FaultProxy, as far as a router can do them. Thread: one."""

    offset = 0
    kind = "namespaces"

    def __init__(self):
        self.hosts = {}  # number by name
        self.rules = []
        self.throttled = set()

    def host(self, name):
        return f"10.77.{self._number(name)}.2"

    def _number(self, name):
        return {"v": 0, "l": 100, "p": 200}[name[0]] + int(name[1:])

    def before(self, name):
        return ["ip", "netns", "exec", "chaos-" + name]

    def start(self, cluster):
        ip("link", "set", "lo", "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="utf-8") as f:
            f.write("1")
        for name in cluster.config["names"]:
            self._add(name)

    def _add(self, name):
        space, number = "chaos-" + name, self._number(name)
        ip("netns", "add", space)
        self.hosts[name] = number
        ip("link", "add", "to-" + name, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("addr", "add", f"10.77.{number}.1/24", "dev", "to-" + name)
        ip("link", "set", "to-" + name, "up")
        for words in (["addr", "add", f"10.77.{number}.2/24", "dev", "eth0"],
                      ["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                      ["route", "add", "default", "via", f"10.77.{number}.1"]):
            ip("-n", space, *words)

    def stop(self):
        self.heal()
        for name in self.hosts:
            ip("link", "del", "to-" + name)
            ip("netns", "del", "chaos-" + name)
        self.hosts = {}

    # --- Faults.

    def block(self, source, target):
        """Drops what `source` sends to `target` from now on."""
        rule = ["from", self.host(source), "to", self.host(target), "blackhole", "pref", "10"]
        ip("rule", "add", *rule)
        self.rules.append(rule)

    def throttle(self, name, bytes_per_s):
        """What goes to the process passes no faster."""
        ip("qdisc", "replace", "dev", "to-" + name, "root", "tbf", "rate", f"{bytes_per_s * 8}bit",
           "burst", "16kb", "latency", "100ms", program="tc")
        self.throttled.add(name)

    def heal(self):
        for rule in self.rules:
            ip("rule", "del", *rule)
        for name in self.throttled:
            ip("qdisc", "del", "dev", "to-" + name, "root", program="tc")
        self.rules, self.throttled = [], set()


def ip(*words, program="ip"):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        raise OSError(f"{program} {' '.join(words)}: {done.stderr.strip()}")
