# SPDX-License-Identifier: Apache-2.0
"""The server half: collects what devices release, keeps it, tests it for drift, raises alarms, shows it."""
