# SPDX-License-Identifier: Apache-2.0
"""From raw counts to released ones: budget, ledger, mechanisms. `release()` is the only way."""
