# SPDX-License-Identifier: Apache-2.0
"""Models that change while a device works: fetched under TUF, kept in two slots, tried before they are trusted."""
