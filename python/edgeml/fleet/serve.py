# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet serve`: broker (if embedded), collector, evaluation and dashboard in one process, until a signal."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import uvicorn
from sqlalchemy.exc import OperationalError

from edgeml.fleet.broker import BrokerAddress, EmbeddedBroker, bind
from edgeml.fleet.collector import Collector
from edgeml.fleet.config import FleetConfig
from edgeml.fleet.dashboard.access import load_or_make_token
from edgeml.fleet.dashboard.app import make_app
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.store.engine import open_store

log: Final = logging.getLogger(__name__)

EVALUATE_EVERY_S: Final = 2.0
SHUTDOWN_TIMEOUT_S: Final = 3


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What the command line adds to fleet.toml; None leaves the file's value."""

    embedded_broker: bool = False
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883  # of the embedded broker; 0 takes a free port
    broker_url: str | None = None
    http_host: str | None = None
    http_port: int | None = None  # 0 takes a free port
    ready_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Where a fleet that has started can be reached; `--ready-file` holds it as JSON."""

    dashboard_url: str
    http_port: int
    mqtt_host: str
    mqtt_port: int
    token_file: str
    store_url: str
    pid: int


def serve(config: FleetConfig, options: ServeOptions) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        FleetError: a port in use, a store or token file that cannot be opened.
    """
    host = options.http_host or config.http_host
    port = config.http_port if options.http_port is None else options.http_port
    listener = bind(host, port, "the dashboard")
    engine = open_store(config.store_url)
    token, token_is_new = load_or_make_token(config.token_file)
    embedded = EmbeddedBroker(options.mqtt_host, options.mqtt_port) if options.embedded_broker else None
    broker = embedded.address if embedded else _external_broker(config, options)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again when it is done: nothing may follow
        signal.signal(number, lambda *_: stop.set())
    threads = [
        threading.Thread(
            target=Collector(engine, broker, period_s=config.period_s).run, args=(stop,), name="collector"
        ),
        threading.Thread(target=_keep_evaluating, args=(engine, config, stop), name="evaluation"),
    ]
    for thread in threads:
        thread.start()
    try:
        ready = Ready(
            dashboard_url=f"http://{host}:{listener.getsockname()[1]}/",
            http_port=listener.getsockname()[1],
            mqtt_host=broker.host,
            mqtt_port=broker.port,
            token_file=str(config.token_file),
            store_url=config.store_url,
            pid=os.getpid(),
        )
        _announce(ready, token if token_is_new else None, options.ready_file)
        app = make_app(engine, token=token, period_s=config.period_s)
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S
            )
        )
        server.run(sockets=[listener])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        if embedded is not None:
            embedded.stop()
        engine.dispose()
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)
    log.info("stopped")


def _external_broker(config: FleetConfig, options: ServeOptions) -> BrokerAddress:
    return BrokerAddress.from_url(options.broker_url) if options.broker_url else config.broker


def _keep_evaluating(engine: sa.Engine, config: FleetConfig, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            evaluate(engine, config.rules, period_s=config.period_s, now_s=int(time.time()))
        except OperationalError as error:  # locked for long, disk full: the next round does what this one could not
            log.warning("evaluation: %s; trying again", error.orig)
        except Exception:  # the intake goes on without evaluation, and the log says so every time
            log.exception("evaluation failed; trying again")
        stop.wait(EVALUATE_EVERY_S)


def _announce(ready: Ready, new_token: str | None, ready_file: Path | None) -> None:
    """Tell people on the terminal, and programs in a file that is complete as soon as it is there."""
    print(f"broker     {ready.mqtt_host}:{ready.mqtt_port}", flush=True)
    if new_token is None:
        print(f"dashboard  {ready.dashboard_url}  (token: {ready.token_file})", flush=True)
    else:
        print(f"dashboard  {ready.dashboard_url}?token={new_token}", flush=True)
        print(f"           the token is shown once; it is kept in {ready.token_file}", flush=True)
    if ready_file is not None:
        partial = ready_file.with_name(ready_file.name + ".part")
        partial.write_text(json.dumps(vars(ready), sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(ready_file)
