# SPDX-License-Identifier: Apache-2.0
"""A broker inside this process, for trying things out (amqtt, MQTT 3.1.1), and the sockets that servers listen on."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from functools import partial
from typing import Any, Final

from edgeml.errors import FleetError
from edgeml.telemetry.broker_address import BrokerAddress

START_TIMEOUT_S: Final = 20


def bind(host: str, port: int, what: str) -> socket.socket:
    """Open a TCP socket to listen on; port 0 takes a free one.

    Raises:
        FleetError: the port is in use, or the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise FleetError(f"{what} cannot listen on {host}:{port}: {reason}; choose another port") from error
    listener.setblocking(False)
    return listener


class EmbeddedBroker:
    """A broker on its own thread; `address` is where it listens. Started by the constructor, ended by `stop`."""

    def __init__(self, host: str, port: int) -> None:
        """Raises FleetError where the port is in use."""
        listener = bind(host, port, "the embedded broker")
        self.address: Final = BrokerAddress(host=host, port=listener.getsockname()[1])
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener)), name="broker", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise FleetError(f"the embedded broker did not start on {self.address}; see the log")

    def stop(self) -> None:
        """End all connections and the thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _serve(self, listener: socket.socket) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415  a fleet with a broker of its own never loads amqtt
        from amqtt.contexts import BrokerConfig  # noqa: PLC0415

        for name in ("amqtt", "transitions"):  # every malformed packet would be a traceback in the log
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        config = BrokerConfig.from_dict({"listeners": {"default": {"type": "external"}}, "plugins": plugins})
        broker = Broker(config)
        await broker.start()
        server = await asyncio.start_server(partial(broker.stream_connected, listener_name="default"), sock=listener)
        self._ready.set()
        await self._stop.wait()
        server.close()
        await broker.shutdown()
