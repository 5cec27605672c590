"""HTTP/2 by hand, to do with it what no client library would (RFC 9113, RFC 7541)."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def integer(value):
    """With a prefix of seven bits."""
    if value < 127:
        return bytes([value])
    value -= 127
    out = bytes([127])
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def headers(pairs):
    """Literals, neither indexed nor compressed."""
    return b"".join(b"\0" + integer(len(n)) + n + integer(len(v)) + v for n, v in pairs)


def call_headers(path, more=()):
    return headers([(b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
                    (b":authority", b"chaos"), (b"content-type", b"application/grpc"),
                    (b"te", b"trailers"), *more])


def message(body):
    return struct.pack(">BI", 0, len(body)) + body


def field(number, body):
    """A length-delimited protobuf field."""
    size, out = len(body), b""
    while size >= 128:
        out += bytes([size % 128 + 128])
        size //= 128
    return bytes([number << 3 | 2]) + out + bytes([size]) + body


class Connection:
    """A client that has said hello. Stream ids are the caller's."""

    def __init__(self, address, window=65535):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.send(PREFACE, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))

    def send(self, *frames):
        """False once the other end has had enough."""
        try:
            self.socket.sendall(b"".join(frames))
            return True
        except OSError:
            return False

    def call(self, stream, path, body):
        return self.send(frame(HEADERS, END_HEADERS, stream, call_headers(path)),
                         frame(DATA, END_STREAM, stream, message(body)))

    def closed(self, timeout_s=5):
        """Whether the other end closes in time; reads what comes until then."""
        self.socket.settimeout(timeout_s)
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self):
        self.socket.close()
