# SPDX-License-Identifier: Apache-2.0
"""What several tests share: what a test needs from the machine, and helpers that are not tests themselves."""
