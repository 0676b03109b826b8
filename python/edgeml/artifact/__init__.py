# SPDX-License-Identifier: Apache-2.0
"""The `.edgeml` file: writer, pure-Python reader, and `Artifact`, which is what people hold."""

from edgeml.artifact.artifact import Artifact

__all__ = ["Artifact"]
