"""Which code has measured something, and how two of them differ. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from tierexp.results.schema import Provenance


def code_versions(provenance: Provenance) -> dict[str, str]:
    """Versions of packages, Python's and, in a checkout, the commit, by name.

    Args:
        provenance: Provenance of results, or of a run that begins.
    """
    if provenance.git_commit is None:
        return dict(provenance.versions)
    changed = " with changes" if provenance.git_dirty else ""
    return provenance.versions | {"commit": f"{provenance.git_commit[:12]}{changed}"}


def version_changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs, as `torch 2.12.0, now 2.13.0`; empty where nothing does."""
    names = dict.fromkeys((*before, *now))
    return "; ".join(
        f"{name} {before.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in names
        if before.get(name) != now.get(name)
    )
