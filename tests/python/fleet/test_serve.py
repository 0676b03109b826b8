# SPDX-License-Identifier: Apache-2.0
"""The whole server as a process: reports in over MQTT, numbers out over HTTP, an end by signal."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgeml.artifact.artifact import Artifact
from edgeml.fleet.broker import bind
from edgeml.telemetry import codec
from edgeml.telemetry.device_key import public_key_text
from edgeml.telemetry.messages import Ack
from edgeml.telemetry.topics import topic
from support.fleet_process import FleetProcess, edgeml, fleet_process
from support.mosquitto import mosquitto
from support.reports import KEY, normal_counts, normal_schema, report, sealed, window
from support.small_artifact import every_operator

RULE = '[[rule]]\nname = "inputs"\nowner = "o"\nplaybook = "p"\nopen_after = 2\n'
SCHEMA = normal_schema(features=2)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(f"[drift]\nperiod_s = 3600\n{RULE}")
    return path


def overview(fleet: FleetProcess) -> dict[str, object]:
    headers = {"authorization": f"Bearer {fleet.token}"}
    answer = httpx.get(f"{fleet.ready['dashboard_url']}api/v1/overview", headers=headers, timeout=10)
    assert answer.status_code == 200
    document: dict[str, object] = answer.json()
    return document


def send_all(fleet: FleetProcess, device: str, shifts: list[float]) -> None:
    """Send one report an hour and wait for the ack of the last window."""
    done = threading.Event()
    last = 12 * len(shifts)

    def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        ack = codec.decode("ack", bytes(message.payload))
        if isinstance(ack, Ack) and ack.contiguous_upto == last:
            done.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(fleet.ready["mqtt_host"], fleet.ready["mqtt_port"])
    client.loop_start()
    client.subscribe(topic("acme", device, "ack"), 1)
    assert subscribed.wait(20)
    rng = np.random.default_rng(len(device))
    payloads = []
    for hour, shift in enumerate(shifts):
        seqs = range(12 * hour + 1, 12 * hour + 13)
        windows = [window(seq, normal_counts(SCHEMA, rng, shift=shift), SCHEMA.id) for seq in seqs]
        payloads.append(sealed(topic("acme", device, "tel"), report(device.encode().ljust(8)[:8], windows)))
    deadline = time.monotonic() + 40
    while not done.is_set():  # as a device does: again what was not acknowledged
        assert time.monotonic() < deadline
        for payload in payloads:
            client.publish(topic("acme", device, "tel"), payload, qos=1)
        done.wait(2)
    client.disconnect()
    client.loop_stop()


def see_an_alarm(fleet: FleetProcess, config: Path) -> None:
    model = config.with_name("model.edgeml")
    model.write_bytes(Artifact.build(replace(every_operator(), telemetry=SCHEMA.to_bytes())).to_bytes())
    keys = (f"{name}={public_key_text(KEY.public)}" for name in ("steady", "drifting"))
    assert edgeml("fleet", "provision", "--tenant", "acme", *keys, "--config", config).returncode == 0
    send_all(fleet, "steady", [0.0] * 4)
    send_all(fleet, "drifting", [0.0, 0.8, 0.8, 0.8])
    assert overview(fleet)["windows_without_schema"] == 96
    assert edgeml("fleet", "model", "push", model, "--config", config).returncode == 0
    deadline = time.monotonic() + 30
    while not (document := overview(fleet))["alarms"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [alarm["device"] for alarm in document["alarms"]] == ["drifting"]  # type: ignore[attr-defined]
    assert document["books"] == {"produced": 96, "stored": 96, "waiting": 0, "lost": 0, "unaccounted": 0}


def test_from_reports_to_an_alarm_with_the_embedded_broker(config: Path) -> None:
    with fleet_process(config) as fleet:
        see_an_alarm(fleet, config)
        fleet.process.send_signal(signal.SIGTERM)
        out, err = fleet.process.communicate(timeout=30)
        assert fleet.process.returncode == 0
        assert f"?token={fleet.token}" in out
        assert "Traceback" not in err
        assert "alarm inputs: acme/drifting drifts since" in err
        assert not config.with_name("ready.json").exists()
    with fleet_process(config) as again:
        assert overview(again)["books"] == {"produced": 96, "stored": 96, "waiting": 0, "lost": 0, "unaccounted": 0}
        again.process.send_signal(signal.SIGINT)
        out, _ = again.process.communicate(timeout=30)
        assert again.process.returncode == 0
        assert again.ready["token_file"] in out
        assert "?token=" not in out


@pytest.mark.needs_program("mosquitto")
def test_from_reports_to_an_alarm_with_mosquitto(config: Path, tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path) as broker,
        fleet_process(config, "--broker-url", f"mqtt://127.0.0.1:{broker.port}") as fleet,
    ):
        see_an_alarm(fleet, config)


def test_port_in_use_is_one_sentence_and_leaves_nothing(config: Path) -> None:
    taken = bind("127.0.0.1", 0, "the test")
    port = taken.getsockname()[1]
    for flags in (["--http-port", port], ["--http-port", 0, "--embedded-broker", "--mqtt-port", port]):
        result = edgeml("fleet", "serve", "--config", config, "--ready-file", config.with_name("ready.json"), *flags)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.stderr
        assert [path.name for path in config.parent.iterdir()] == ["fleet.toml"]
    taken.close()


def test_ready_file_that_cannot_be_written(config: Path, tmp_path: Path) -> None:
    ready = tmp_path / "no" / "ready.json"
    result = edgeml("fleet", "serve", "--config", config, "--http-port", 0, "--ready-file", ready)
    assert result.returncode == 2
    assert f"cannot write the ready file {ready}: No such file or directory" in result.stderr


def test_server_waits_for_a_broker_that_is_absent(config: Path) -> None:
    with fleet_process(config, "--broker-url", "mqtt://127.0.0.1:1") as fleet:
        assert overview(fleet)["devices"] == []
        assert httpx.get(f"{fleet.ready['dashboard_url']}healthz", timeout=10).text == "ok\n"
        fleet.process.send_signal(signal.SIGTERM)
        _, err = fleet.process.communicate(timeout=30)
        assert fleet.process.returncode == 0
        assert "broker 127.0.0.1:1: [Errno 111] Connection refused" in err
