# SPDX-License-Identifier: Apache-2.0
"""`edgeml fleet serve`: broker (if embedded), collector, evaluation and dashboard in one process, until a signal."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import uvicorn
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from edgeml.errors import FleetError
from edgeml.fleet.broker import EmbeddedBroker, bind
from edgeml.fleet.collector import Collector
from edgeml.fleet.config import FleetConfig
from edgeml.fleet.dashboard.access import load_or_make_token
from edgeml.fleet.dashboard.app import Updates, make_app
from edgeml.fleet.evaluation import evaluate
from edgeml.fleet.notify import tell
from edgeml.fleet.rollout.driver import advance
from edgeml.fleet.rollout.sender import send_wants
from edgeml.fleet.store.engine import hide_password, open_store, writing
from edgeml.fleet.store.retention import retain
from edgeml.fleet.tokens import FIRST_TOKEN, ROLES, add_token, has_tokens
from edgeml.fleet.update_repository import UpdateRepository
from edgeml.telemetry.broker_address import BrokerAddress

log: Final = logging.getLogger(__name__)

EVALUATE_EVERY_S: Final = 1.0
ROLL_OUT_EVERY_S: Final = 1.0
EVERYTHING_EVERY_S: Final = 60.0
TELL_EVERY_S: Final = 2.0
RETAIN_EVERY_S: Final = 3600.0
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
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn catches them, and raises them again when it is done
        signal.signal(number, lambda *_: stop.set())
    host = options.http_host or config.http_host
    port = config.http_port if options.http_port is None else options.http_port
    with ExitStack() as stack:  # undone in reverse order; what can be refused comes before what leaves files
        listener = stack.enter_context(closing(bind(host, port, "the dashboard")))
        broker = _broker(config, options, stack)
        engine = open_store(config.store_url)
        stack.callback(engine.dispose)
        token, token_is_new = _first_token(engine, config.token_file)
        repository = UpdateRepository(config.update_folder)
        repository.create(time.time())
        update_token, _ = load_or_make_token(config.update_folder / "device.token")
        collector = Collector(engine, broker, period_s=config.period_s, mqtt_5=not options.embedded_broker)
        for name, work in (
            ("collector", partial(collector.run, stop)),
            ("evaluation", partial(_keep_evaluating, engine, config, stop)),
            ("retention", partial(_keep_forgetting, engine, stop)),
            ("alerts", partial(_keep_telling, engine, config.webhook, stop)),
            ("rollouts", partial(_keep_rolling_out, engine, broker, repository, config, stop)),
        ):
            thread = threading.Thread(target=work, name=name)
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        ready = Ready(
            dashboard_url=f"http://{host}:{listener.getsockname()[1]}/",
            http_port=listener.getsockname()[1],
            mqtt_host=broker.host,
            mqtt_port=broker.port,
            token_file=str(config.token_file),
            store_url=hide_password(config.store_url),
            pid=os.getpid(),
        )
        _announce(ready, token if token_is_new else None, options.ready_file, stack)
        if not stop.is_set():
            updates = Updates(repository=repository, token=update_token)
            _run_dashboard(make_app(engine, period_s=config.period_s, updates=updates), listener)
    log.info("stopped")


def _first_token(engine: sa.Engine, file: Path) -> tuple[str, bool]:
    """Token of the file, which is that of a store that has none yet; the second value tells whether it is new."""
    with writing(engine) as connection:
        if has_tokens(connection):
            return "", False
        token, is_new = load_or_make_token(file)
        add_token(connection, name=FIRST_TOKEN, role=ROLES[-1], now_s=int(time.time()), secret=token)
        return token, is_new


def _broker(config: FleetConfig, options: ServeOptions, stack: ExitStack) -> BrokerAddress:
    if options.embedded_broker:
        embedded = EmbeddedBroker(options.mqtt_host, options.mqtt_port)
        stack.callback(embedded.stop)
        return embedded.address
    return BrokerAddress.from_url(options.broker_url, config.broker.tls) if options.broker_url else config.broker


def _run_dashboard(app: ASGIApp, listener: socket.socket) -> None:
    """Serve requests until a signal comes."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S
    )
    uvicorn.Server(config).run(sockets=[listener])


def _keep_evaluating(engine: sa.Engine, config: FleetConfig, stop: threading.Event) -> None:
    everything_at = 0.0
    while not stop.is_set():
        everything = time.monotonic() >= everything_at
        try:
            evaluate(engine, config.rules, period_s=config.period_s, now_s=int(time.time()), everything=everything)
            if everything:
                everything_at = time.monotonic() + min(EVERYTHING_EVERY_S, config.period_s)
        except OperationalError as error:  # locked for long, disk full: the next round does what this one could not
            log.warning("evaluation: %s; trying again", error.orig)
        except Exception:  # the intake goes on without evaluation, and the log says so every time
            log.exception("evaluation failed; trying again")
        stop.wait(EVALUATE_EVERY_S)


def _keep_forgetting(engine: sa.Engine, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            retain(engine, now_s=int(time.time()))
        except OperationalError as error:
            log.warning("retention: %s; trying again", error.orig)
        except Exception:  # the intake goes on, and the log says so every time
            log.exception("retention failed; trying again")
        stop.wait(RETAIN_EVERY_S)


def _keep_rolling_out(
    engine: sa.Engine, broker: BrokerAddress, repository: UpdateRepository, config: FleetConfig, stop: threading.Event
) -> None:
    while not stop.wait(ROLL_OUT_EVERY_S):
        try:
            repository.refresh(time.time())
            advance(engine, repository, period_s=config.period_s, now_s=int(time.time()))
            send_wants(engine, broker)
        except OSError as error:  # noqa: PERF203 - once a second
            log.warning("wants: %s; trying again", error)
        except OperationalError as error:
            log.warning("rollouts: %s; trying again", error.orig)
        except Exception:  # the intake goes on, and the log says so every time
            log.exception("rollouts failed; trying again")


def _keep_telling(engine: sa.Engine, webhook: str, stop: threading.Event) -> None:
    while webhook and not stop.is_set():
        try:
            tell(engine, webhook)
        except Exception:  # nothing else waits for the webhook, and the log says so every time
            log.exception("telling %s of alarms failed; trying again", webhook)
        stop.wait(TELL_EVERY_S)


def _announce(ready: Ready, new_token: str | None, ready_file: Path | None, stack: ExitStack) -> None:
    """Tell people on the terminal, and programs in a file that is complete as soon as it is there."""
    print(f"broker     {ready.mqtt_host}:{ready.mqtt_port}", flush=True)
    if new_token is None:
        print(f"dashboard  {ready.dashboard_url}  (token: {ready.token_file})", flush=True)
    else:
        print(f"dashboard  {ready.dashboard_url}?token={new_token}", flush=True)
        print(f"           the token is shown once; it is kept in {ready.token_file}", flush=True)
    if ready_file is not None:
        half = ready_file.with_name(ready_file.name + ".part")
        try:
            half.write_text(json.dumps(asdict(ready), sort_keys=True) + "\n", encoding="utf-8")
            half.replace(ready_file)
        except OSError as error:
            raise FleetError(f"cannot write the ready file {ready_file}: {error.strerror}") from error
        stack.callback(ready_file.unlink, missing_ok=True)
