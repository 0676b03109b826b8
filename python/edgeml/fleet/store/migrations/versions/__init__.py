# SPDX-License-Identifier: Apache-2.0
"""The changes, in the order of their numbers; a released one is never edited."""
