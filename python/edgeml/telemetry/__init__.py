# SPDX-License-Identifier: Apache-2.0
"""What travels between device and fleet, and how: messages, codec, spool, MQTT."""
