"""The version, in one place: the build of a wheel reads it here."""

from __future__ import annotations

__version__ = "0.2.0"
