"""The command lines that every implementation must answer alike, and how answers are compared.

A case is a name and steps, run in order against one server from its first revision on: revisions
are compared as they are. A step is a command line, or a Watch around command lines.
"""

import dataclasses
import os
import re
import shlex
import subprocess
import time

@dataclasses.dataclass(frozen=True)
class Step:
    line: str
    stdin: str = ""


@dataclasses.dataclass(frozen=True)
class Watch:
    """`line` runs while `during` does; it is over when it ends or has shown `until`.

    `live`: the watch is given time to begin first, so that its replies come one for each change;
    afterwards it has a second to show more than it should.
    """

    line: str
    during: tuple = ()
    live: bool = False
    until: str = "end of the watch"


def txn(compares, success=(), failure=(), options=""):
    """A txn step: each argument is the lines of one block."""
    text = "".join("".join(f"{line}\n" for line in block) + "\n"
                   for block in (compares, success, failure))
    return Step(f"txn {options}".strip(), text)


def formats(line, names=("simple", "json", "fields")):
    return [Step(f"{line} -w {name}") for name in names]


def _range_cases():
    fill = [Step(f"put r/{key} {value}") for key, value in
            (("b", 3), ("a", 1), ("d", 2), ("c", 5), ("b", 4), ("a", 9))]
    orders = [Step(f"get r/ --prefix --sort-by={by} --order={order}")
              for by in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION")
              for order in ("ASCEND", "DESCEND")]
    return fill + orders + formats("get r/a") + formats("get r/ --prefix --limit=2") + [
        Step("get r/ --prefix --keys-only"), Step("get r/ --prefix --print-value-only"),
        Step("get r/ --prefix --hex"), Step("get r/b r/d"), Step("get r/c --from-key"),
        Step("get r/d r/b"), Step("get r/nothing"), Step("get r/nothing -w json"),
        Step("get '' --prefix --keys-only"), Step("get '' --from-key --limit=2 --keys-only"),
        Step("get r/a --consistency=s"), Step("get r/ --prefix --consistency=l --limit=1 -w json"),
        Step("get r/ --prefix --sort-by=VALUE"), Step("get r/a --rev=3"), Step("get r/a --rev=2"),
        Step("get r/ --prefix --rev=4 -w json"), Step("get r/b --rev=6 -w fields")]


CASES = {
    "put": formats("put p/a 1") + formats("put p/a 2 --prev-kv") + [
        Step("put p/stdin", "from stdin\n"), Step("get p/stdin"), Step("put p/empty ''"),
        Step("get p/empty -w json"), Step("put -- p/-dash --value"), Step("get p/-dash"),
        Step("put 'p/[x]' '[y]'"), Step("get p/[ -w fields --prefix"), Step("put p/ü grün"),
        Step("get p/ü -w fields"), Step("put p/lines 'two\nlines'"), Step("get p/lines -w fields"),
        Step("put p/a --ignore-value"), Step("get p/a -w json"),
        Step("put p/a other --ignore-lease"), Step("get p/a -w json")],
    "get": _range_cases(),
    "del": [Step(f"put d/{key} {key}") for key in "abcdefgh"]
    + formats("del d/a") + formats("del d/b --prev-kv") + formats("del d/c --prev-kv") + [
        Step("del d/d --prev-kv -w fields"), Step("del d/none"), Step("del d/e d/g --prev-kv"),
        Step("get d/ --prefix -w json"), Step("del d/ --prefix --prev-kv"),
        Step("put x/1 1"), Step("put x/2 2"), Step("del x/2 --from-key"),
        Step("put x/1 again"), Step("get x/1 -w json"), Step("del '' --prefix"),
        Step("get '' --prefix -w json")],
    "txn": [Step("put t/a 1"), Step("put t/b 2")] + [
        txn(['value("t/a") = "1"'], ["put t/a 2", "get t/a", "del t/b --prev-kv"], ["get t/b"],
            f"-w {form}") for form in ("simple", "json", "fields")] + [
        txn(['ver("t/none") = "0"'], ["put t/none 1"], ["get t/none"]),
        txn(['create("t/a") > "0"', 'mod("t/a") < "2"'], ["get t/a"], ["get t/ --prefix"]),
        txn(['version("t/a") != "1"'], [], ["get t/a"]),
        txn(['val("t/a") < "9"'], ["put t/c \"x y\"", 'put t/d "q\\"q"']),
        txn(['val("t/a")\t<\t"9"'], ["get t/ --prefix --print-value-only"]),
        txn([], ["get t/ --prefix --keys-only", "get t/a --rev=2"]),
        txn([], ["put t/a 5 --prev-kv", "del t/ --prefix", ], [], "-w json"),
        txn([], ["put t/z 1", "get t/z"], [], "-i"),
        txn([], [], []), Step("get t/ --prefix -w json")],
    "refusals": [Step("put k 1"), Step("put k 2"), Step("get ''"), Step("put '' x"),
                 Step("del ''"), Step("get k --rev=100"), Step("put nothing --ignore-value"),
                 Step("put nothing x --ignore-lease"), Step("put k x --lease=12"),
                 txn([], ["put k 1", "put k 2"]), txn([], ["put k 1", "del k"]),
                 txn([], ["get k"], ["del a z", "put k 3"]),
                 txn([], [f"put many/{i} x" for i in range(129)]),
                 txn([f'mod("k{i}") = "0"' for i in range(129)]),
                 txn(['mod("") = "0"'], ["get k"]),
                 txn([], ["get k --rev=99"]), Step("put big", "x" * (1600 * 1024)),
                 Step("get '' --prefix -w json")],
    "compaction": [Step(f"put c/a {i}") for i in range(6)] + [
        Step("compaction 4"), Step("get c/a --rev=3"), Step("get c/a --rev=4"),
        Step("compaction 4"), Step("compaction 3"), Step("compaction 99"),
        Watch("watch c/a --rev=2"), Step("compaction 6 --physical"), Step("get c/a --rev=5"),
        Step("get c/a -w json"), txn([], ["get c/a --rev=2"])],
    "watch": [
        Watch("watch w/a --rev=2", (Step("put w/a 1"), Step("put w/b no"), Step("del w/a"),
                                    Step("put w/a end-1")), until="end-1"),
        Watch("watch w/ --prefix --rev=2 --prev-kv",
              (Step("put w/c 1"), Step("put w/c 2"), Step("del w/ --prefix"),
               txn([], ["put w/x 1", "put w/y 2"]), Step("put w/end end-2")), until="end-2"),
        Watch("watch w/a w/c --rev=4", (Step("put w/b 1"), Step("put w/c outside"),
                                        Step("put w/bb end-3")), until="end-3"),
        Watch("watch w/ --prefix --prev-kv -w json",
              (Step("put w/j 1"), Step("put w/j 2"), Step("del w/j"), Step("put w/k 3"),
               txn([], ["put w/x 1", "put w/y 2"])), live=True),
        Watch("watch w/ --prefix -w fields", (Step("put w/f 1"), Step("del w/f")), live=True),
        Watch("watch w/exec -- sh -c "
              "'echo $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_EVENT_TYPE'",
              (Step("put w/exec 1"), Step("del w/exec")), live=True)],
    "wrong-words": [Step("get"), Step("get a b --prefix"), Step("get a --prefix --from-key"),
                    Step("put"), Step("put a b --ignore-value"), Step("del"),
                    Step("get a --order=x"), Step("get a --sort-by=x"),
                    Step("put a b --lease=12 -w table"), Step("watch"), Step("compaction"),
                    Step("compaction x"), Step("get a -w nothing"),
                    txn([], ["put a"]), txn([], ["del a b c"]), txn([], ["get a --order=x"]),
                    txn([], ["get a --prefix --from-key"]), txn([], ["post a b"]),
                    Step("endpoint"), Step("member")],
    "endpoint-status": formats("endpoint status", ("simple", "json", "fields", "table")),
    "endpoint-health": formats("endpoint health", ("simple", "json", "fields", "table")),
    "member-list": formats("member list", ("simple", "json", "fields", "table")),
}


@dataclasses.dataclass
class Answer:
    line: str
    code: int
    out: str
    err: str


class Runner:
    """Runs cases with one tool against one endpoint."""

    def __init__(self, tool, endpoint, timeout_s=15):
        self.words = [tool, f"--endpoints={endpoint}"]
        self.timeout_s = timeout_s
        self.env = dict(os.environ, ETCDCTL_API="3")

    def run(self, steps):
        """The answers to the steps, in order."""
        answers = []
        for step in steps:
            answers += self._watch(step) if isinstance(step, Watch) else [self._step(step)]
        return answers

    def _step(self, step):
        try:
            done = subprocess.run(self.words + shlex.split(step.line), input=step.stdin.encode(),
                                  capture_output=True, timeout=self.timeout_s, env=self.env,
                                  check=False)
        except subprocess.TimeoutExpired:
            return Answer(step.line, -1, "", f"no end within {self.timeout_s} s")
        return Answer(step.line, done.returncode, done.stdout.decode(errors="backslashreplace"),
                      done.stderr.decode(errors="backslashreplace"))

    def _watch(self, watch):
        watcher = subprocess.Popen(self.words + shlex.split(watch.line), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=self.env)
        os.set_blocking(watcher.stdout.fileno(), False)
        seen = b""
        try:
            if watch.live:
                time.sleep(1.0)
            answers = [self._step(step) for step in watch.during]
            deadline = time.monotonic() + (1.0 if watch.live else self.timeout_s)
            while time.monotonic() < deadline and watcher.poll() is None \
                    and watch.until.encode() not in seen:
                seen += watcher.stdout.read() or b""
                time.sleep(0.02)
            code = watcher.poll()
        finally:
            watcher.kill()
        rest, err = watcher.communicate()
        seen += rest
        return answers + [Answer(watch.line, 0 if code is None else code,
                                 seen.decode(errors="backslashreplace"), err.decode())]


# Masked: ids, version, sizes, raft term and index; and what no two runs share, how long it took.
# A pattern's group 1 stays in front of the mask.
MASKS = [
    # JSON and fields.
    (r'("(?:cluster_id|member_id|leader|ID)":)\d+', "<id>"),
    (r'("(?:ClusterID|MemberID|Leader|ID)" : )\d+', "<id>"),
    (r'("(?:version|Version)"(?::| : ))"[^"]*"', "<version>"),
    (r'("(?:dbSize|dbSizeInUse)":)\d+', "<size>"),
    (r'("DBSize" : )\d+', "<size>"),
    (r'("(?:raft_term|raftTerm|raftIndex|raftAppliedIndex)":)\d+', "<raft>"),
    (r'("(?:RaftTerm|RaftIndex|RaftAppliedIndex)" : )\d+', "<raft>"),
    (r'("took":)"[^"]*"', "<took>"),
    (r'("Took" : )\S+', "<took>"),
    (r"(took = )\S+", "<took>"),
]


def mask_row(cells):
    """A row of `endpoint status`: endpoint, ID, version, size, leader?, learner?, term, 2 indexes;
    of `member list`: ID, status, ...; of `endpoint health` (table): endpoint, health, took, error."""
    if len(cells) == 10:
        return cells[:1] + ["<id>", "<version>", "<size>"] + cells[4:6] + ["<raft>"] * 3 + cells[9:]
    if len(cells) == 6:
        return ["<id>"] + cells[1:]
    if len(cells) == 4:
        return cells[:2] + ["<took>"] + cells[3:]
    return cells


def normalized(text, line, names):
    """`text` with masks, and with addresses by what they are: {"127.0.0.1:2379": "CLIENT"}."""
    for address, name in names.items():
        text = re.sub(re.escape(address) + r"(?!\d)", name, text)
    for pattern, mask in MASKS:
        text = re.sub(pattern, r"\1" + mask, text)
    # etcdctl's log lines carry times and random names; what they tell is the error.
    text = re.sub(r'^\{"level":"warn".*?"error":"(.*?)"\}$', r"warn: \1", text, flags=re.M)
    if not line.startswith(("endpoint", "member")):
        return text
    lines = []
    for row in text.splitlines():
        if row.startswith("+--"):
            continue  # its width follows the masked cells
        if row.startswith("| "):
            cells = [c.strip() for c in row.strip("|").split(" | ")]
            lines.append(" | ".join(cells if cells[0].isupper() and cells[0] != "CLIENT"
                                    else mask_row(cells)))
        else:
            cells = row.split(", ")
            lines.append(", ".join(mask_row(cells)) if len(cells) > 1 and row[0] != "{"
                         and row[0] != "[" else row)
    return "\n".join(lines)
