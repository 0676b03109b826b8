# SPDX-License-Identifier: Apache-2.0
"""The report of a conversion: what int8 costs layer by layer, as one HTML file that needs no network."""
