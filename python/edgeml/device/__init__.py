# SPDX-License-Identifier: Apache-2.0
"""The device agent: Monitor around a session, and the daemon that runs it."""
