# SPDX-License-Identifier: Apache-2.0
"""The overview as Prometheus metrics; everything is read from the store when it is asked for.

Of a large fleet, series of single devices are those of the first page: a hundred devices that need people most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeml.fleet.overview import Overview

MICRO = 1e-6


def render(state: Overview) -> bytes:
    """Text in Prometheus' exposition format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OverviewCollector(state))
    text: bytes = generate_latest(registry)
    return text


class _OverviewCollector(Collector):
    def __init__(self, state: Overview) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        yield from self._of_fleet()
        yield from self._of_devices()
        yield from self._of_features()

    def _of_fleet(self) -> Iterator[Metric]:
        state = self._state
        yield CounterMetricFamily("edgeml_windows_stored", "Windows in the store", value=state.stored)
        yield CounterMetricFamily("edgeml_windows_repeated", "Windows that came again", value=state.windows_repeated)
        yield CounterMetricFamily(
            "edgeml_messages_quarantined", "Malformed messages kept aside", value=state.messages_quarantined
        )
        yield GaugeMetricFamily(
            "edgeml_windows_unaccounted", "Windows that no device and no store has; must be 0", value=state.unaccounted
        )
        yield GaugeMetricFamily("edgeml_windows_waiting", "Windows still on devices", value=state.waiting)
        yield GaugeMetricFamily(
            "edgeml_windows_without_schema", "Stored windows whose model is unknown", value=state.windows_without_schema
        )
        yield GaugeMetricFamily("edgeml_devices", "Devices that have reported", value=state.device_count)
        yield GaugeMetricFamily("edgeml_devices_online", "Devices that are online", value=state.online_count)
        yield GaugeMetricFamily("edgeml_alarms_open", "Open alarms", value=len(state.open_alarms))

    def _of_devices(self) -> Iterator[Metric]:
        labels = ("tenant", "device")
        last_seen = GaugeMetricFamily("edgeml_device_last_seen_seconds", "Unix time of the last message", labels=labels)
        online = GaugeMetricFamily("edgeml_device_online", "1 where the device is connected", labels=labels)
        spent = GaugeMetricFamily("edgeml_device_epsilon_spent", "Privacy budget spent today", labels=labels)
        budget = GaugeMetricFamily("edgeml_device_epsilon_budget", "Privacy budget of a day", labels=labels)
        lost = GaugeMetricFamily("edgeml_device_windows_unaccounted", "Unaccounted windows", labels=labels)
        alarms = GaugeMetricFamily("edgeml_device_alarms_open", "Open alarms", labels=labels)
        for device in self._state.devices:
            of = (device.tenant, device.device)
            last_seen.add_metric(of, device.last_seen_s)
            online.add_metric(of, device.state == "online")
            spent.add_metric(of, device.epsilon_spent_micro * MICRO)
            budget.add_metric(of, device.epsilon_budget_micro * MICRO)
            lost.add_metric(of, device.book.unaccounted)
            alarms.add_metric(of, device.alarms)
        yield from (last_seen, online, spent, budget, lost, alarms)

    def _of_features(self) -> Iterator[Metric]:
        labels = ("tenant", "device", "feature")
        p_value = GaugeMetricFamily("edgeml_drift_p_value", "Drift test of the newest period", labels=labels)
        psi = GaugeMetricFamily("edgeml_drift_psi", "Population stability index of the newest period", labels=labels)
        js = GaugeMetricFamily("edgeml_drift_js_distance", "Jensen-Shannon distance, newest period", labels=labels)
        for one in self._state.drift:
            of = (one.tenant, one.device, one.feature)
            p_value.add_metric(of, one.p_value)
            psi.add_metric(of, one.psi)
            js.add_metric(of, one.js)
        yield from (p_value, psi, js)
