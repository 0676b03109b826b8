# SPDX-License-Identifier: Apache-2.0
"""The checks of tools/check: functions that return complaints, one sentence each, none if all is well."""
