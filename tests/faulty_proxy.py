"""An HTTP proxy that lets an S3 server fail: errors, slow answers and cut connections, by a seeded share of the requests."""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Faults:
    """What goes wrong, as shares of requests; `seen` counts what happened."""

    def __init__(
        self, error: float = 0.0, cut: float = 0.0, slow: float = 0.0, delay_s: float = 0.5, seed: int = 0
    ) -> None:
        self.error, self.cut, self.slow, self.delay_s = error, cut, slow, delay_s
        self.seen: Counter[str] = Counter()
        self._random, self._lock = random.Random(seed), threading.Lock()

    def draw(self) -> str:
        with self._lock:
            at = self._random.random()
            shares = (("error", self.error), ("cut", self.cut), ("slow", self.slow))
            for name, share in shares:
                if at < share:
                    self.seen[name] += 1
                    return name
                at -= share
            self.seen["sound"] += 1
            return "sound"


@contextlib.contextmanager
def proxy(port: int, faults: Faults) -> Iterator[str]:
    """Stand before the server on `port` for the length of a `with` block; yields the endpoint to use."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self._body()
            fault = faults.draw()
            if fault == "error":
                self._answer(503, {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")
                return
            if fault == "slow":
                time.sleep(faults.delay_s)
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
            answer = upstream.getresponse()
            data = answer.read()
            if fault == "cut":
                # What was asked is done, but the client never learns it.
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP}
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self._answer(answer.status, kept, data, length)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, headers: dict[str, str], data: bytes, length: str | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
