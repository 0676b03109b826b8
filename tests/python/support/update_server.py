# SPDX-License-Identifier: Apache-2.0
"""An update repository behind HTTP on a free port of this machine; paths may be made to answer without end, or to end early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ENDLESS_BYTES = 64 << 20


class _Handler(SimpleHTTPRequestHandler):
    endless: str = ""
    short: str = ""

    def do_GET(self) -> None:
        if self.short and self.short in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{" * 10)
            return
        if not self.endless or self.endless not in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(ENDLESS_BYTES >> 16):
                self.wfile.write(b" " * 65536)
        except OSError:
            pass  # the client has seen enough

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_folder(folder: Path, *, endless: str = "", short: str = "") -> Iterator[str]:
    """Serve until the end of the block; gives the address.

    Paths with `endless` in them answer without end; those with `short`, with fewer bytes than they say.
    """
    handler = type("Handler", (_Handler,), {"endless": endless, "short": short})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
