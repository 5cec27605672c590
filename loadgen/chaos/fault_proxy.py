"""A TCP proxy in front of each process's peer port, which can cut, delay, throttle, reset and half
open what passes. The processes advertise the proxy's ports and listen PEER_OFFSET above them; who
opened a connection is found by its port in /proc/net/tcp.

Runs in a thread of its own; the methods may be called from any other.
"""

import asyncio
import os
import socket
import struct
import threading
import time

from rig import HOST, PEER_OFFSET

CHUNK = 64 << 10
LINGER_RESET = struct.pack("ii", 1, 0)  # close() sends RST


class Faults:
    """What happens to bytes from one process to another."""

    def __init__(self):
        self.blocked = False
        self.delay_s = 0.0
        self.bytes_per_s = 0

    def due(self, now, sent_until, size):
        """When these bytes may pass on; `sent_until`: when the ones before them have."""
        start = max(now + self.delay_s, sent_until)
        return start + (size / self.bytes_per_s if self.bytes_per_s else 0)


class Connection:
    """One connection from `source` to `target`. Thread: the proxy's."""

    def __init__(self, source, target, near, far):
        self.source, self.target = source, target
        self.streams = (near, far)  # of the one who opened it, and of the one it goes to
        self.half_open = False

    def reset(self, which=(0, 1)):
        for i in which:
            writer = self.streams[i][1]
            raw = writer.get_extra_info("socket")
            if raw is not None and not writer.is_closing():
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            writer.transport.abort()


class FaultProxy:
    """See above. `with`-less: start, then stop."""

    offset = PEER_OFFSET
    kind = "proxy"

    def __init__(self):
        self.links = {}  # Faults by (source, target)
        self.connections = set()
        self.cluster = None
        self.changed = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def host(self, _name):
        return HOST

    def before(self, _name):
        return []

    def start(self, cluster):
        self.cluster = cluster
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(10)

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.set_exception_handler(lambda *_: None)  # what is cancelled has nothing to tell
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    async def _listen(self):
        self.changed = asyncio.Event()
        for node in self.cluster.nodes():
            if node.role != "proxy":
                port = node.client_port + 1
                await asyncio.start_server(
                    lambda r, w, name=node.name, port=port: self._accept(name, port, r, w),
                    HOST, port, limit=CHUNK)

    # --- Faults; any thread.

    def link(self, source, target):
        return self.links.setdefault((source, target), Faults())

    def block(self, source, target):
        """Holds back what `source` sends to `target`, on whoever's connection."""
        self.link(source, target).blocked = True

    def delay(self, source, target, seconds):
        self.link(source, target).delay_s = seconds

    def throttle(self, name, bytes_per_s):
        for other in self.cluster.config["names"]:
            self.link(other, name).bytes_per_s = bytes_per_s

    def reset(self, source, target, half_open=False):
        """RST to both ends of every connection between the two; half open: only to the one that
        did not open it, while the other sees nothing and sends into the void."""
        def do():
            for c in list(self.connections):
                if {c.source, c.target} == {source, target} and not c.half_open:
                    c.half_open = half_open
                    c.reset((1,) if half_open else (0, 1))
        self.loop.call_soon_threadsafe(do)

    def heal(self):
        def do():
            self.links.clear()
            self.changed.set()
            self.changed.clear()
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(do)

    # --- The proxy's thread.

    async def _accept(self, target, port, reader, writer):
        source = await asyncio.to_thread(self._who, writer.get_extra_info("peername")[1])
        try:
            far = await asyncio.open_connection(HOST, port + self.offset, limit=CHUNK)
        except OSError:
            return Connection(source, target, (reader, writer), (reader, writer)).reset((0,))
        connection = Connection(source, target, (reader, writer), far)
        self.connections.add(connection)
        ways = [self._pump(connection, 0, source, target), self._pump(connection, 1, target, source)]
        await asyncio.gather(*ways, return_exceptions=True)
        self.connections.discard(connection)
        for _, end in connection.streams:
            end.close()

    def _who(self, port):
        """The name of the process whose socket has this local port; "" if it is none of ours."""
        inode = None
        with open("/proc/net/tcp", encoding="utf-8") as f:
            for line in list(f)[1:]:
                fields = line.split()
                if int(fields[1].split(":")[1], 16) == port and fields[3] == "01":
                    inode = fields[9]
        for name in self.cluster.config["names"]:
            folder = f"/proc/{self.cluster.pid(name)}/fd"
            try:
                for fd in os.listdir(folder):
                    if os.readlink(f"{folder}/{fd}") == f"socket:[{inode}]":
                        return name
            except OSError:
                continue
        return ""

    async def _pump(self, connection, way, source, target):
        """Copies one direction, as its link's faults say."""
        reader, writer = connection.streams[way][0], connection.streams[1 - way][1]
        sent_until = 0.0
        try:
            while data := await reader.read(CHUNK):
                while self.link(source, target).blocked:
                    await asyncio.sleep(0.01)
                if connection.half_open:
                    continue
                faults = self.link(source, target)
                sent_until = faults.due(time.monotonic(), sent_until, len(data))
                if (wait := sent_until - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        if not connection.half_open:
            writer.close()
        elif way == 0:  # whoever opened it has given up at last
            connection.reset()
