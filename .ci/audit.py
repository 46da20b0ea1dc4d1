"""Known vulnerabilities of the pinned packages, as `make audit` and CI report them.

In: `constraints.txt`, and the list of what has been accepted. Out: a line per vulnerability, and
exit code 1 for one that is not on the list. Where no vulnerability database answers, that is said
in so many words: pip-audit itself ends with "No known vulnerabilities found" then.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")
"""Databases, in the order they are asked; the first that knows every package is believed."""
FOUND, NOT_DONE, MALFORMED = 1, 3, 2
"""Exit codes: a vulnerability that is not accepted, an audit that had to be done and was not, a
list of accepted ones that cannot be read."""

Ask = Callable[[str], str]
"""From the name of a service to what pip-audit prints, as JSON."""


@dataclass(frozen=True)
class Vulnerability:
    """A known one of a pinned package.

    Args:
        package: Its name.
        version: That is pinned.
        names: The id, and what else it is called.
        fixed_in: Versions without it.
    """

    package: str
    version: str
    names: tuple[str, ...]
    fixed_in: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What a database says.

    Args:
        audited: How many packages it knows.
        unknown: Why it knows nothing of the others, by their names.
        found: In the packages it knows.
    """

    audited: int
    unknown: dict[str, str]
    found: tuple[Vulnerability, ...]


class AcceptedError(Exception):
    """The list of accepted vulnerabilities is malformed."""


def main(arguments: Sequence[str] | None = None, ask: Ask | None = None) -> int:
    """Audit, report on stdout, return the exit code.

    Args:
        arguments: Of the command line; None for those of this process.
        ask: Asks a service; None runs pip-audit.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("constraints", type=Path)
    parser.add_argument("accepted", type=Path)
    parser.add_argument(
        "--require", action="store_true",
        help=f"exit code {NOT_DONE} where the audit cannot be done",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        accepted = read_accepted(given.accepted)
    except AcceptedError as error:
        sys.stdout.write(f"{given.accepted}: {error}\n")
        return MALFORMED
    report = best_report(ask or (lambda service: run_pip_audit(given.constraints, service)))
    lines, code = judge(report, accepted, given.require)
    sys.stdout.write("\n".join(lines) + "\n")
    return code


def run_pip_audit(constraints: Path, service: str) -> str:
    """What pip-audit prints about pinned packages; empty where the service does not answer."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(constraints), "--no-deps",
        "--disable-pip", "--vulnerability-service", service, "--format", "json", "--aliases", "on",
        "--desc", "off", "--progress-spinner", "off",
    ]  # fmt: skip
    # Its exit code and its closing line say "no vulnerabilities" of packages it knows nothing of.
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def best_report(ask: Ask) -> Report:
    """What the first service says that knows every package; else what is known to any of them."""
    reports = []
    for service in SERVICES:
        reports.append(read_report(ask(service), service))
        if reports[-1].audited and not reports[-1].unknown:
            return reports[-1]
    return max(reports, key=lambda report: report.audited)


def read_report(text: str, service: str) -> Report:
    """What pip-audit has printed of one service.

    Args:
        text: Its JSON; anything else is a service that did not answer.
        service: Its name.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Report(0, {"every package": f"{service} did not answer"}, ())
    if not packages:
        return Report(0, {"every package": f"{service} was asked about none"}, ())
    unknown = {p["name"]: p["skip_reason"] for p in packages if "skip_reason" in p}
    known = [package for package in packages if "skip_reason" not in package]
    found = [
        Vulnerability(
            package["name"],
            package["version"],
            tuple(dict.fromkeys([entry["id"], *entry.get("aliases", ())])),
            tuple(entry["fix_versions"]),
        )
        for package in known
        for entry in package["vulns"]
    ]
    return Report(len(known), unknown, tuple(found))


def read_accepted(path: Path) -> list[dict[str, Any]]:
    """The vulnerabilities that do not fail the audit.

    Raises:
        AcceptedError: The file is no such list, or an entry lacks a reason or a date.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AcceptedError(str(error)) from None
    entries = content.pop("accepted", [])
    if content or not isinstance(entries, list):
        raise AcceptedError("only [[accepted]] tables belong here")
    for entry in entries:
        texts = [entry.pop(key, "") for key in ("id", "package", "reason")]
        date = entry.pop("date", None)
        if entry or not all(isinstance(t, str) and t.strip() for t in texts):
            raise AcceptedError("an entry has id, package, reason and date, and nothing else")
        if type(date) is not datetime.date:
            raise AcceptedError(f"{texts[0]}: date is a day, such as 2026-11-24")
        entry |= dict(zip(("id", "package", "reason"), texts, strict=True)) | {"date": date}
    return entries


def judge(
    report: Report, accepted: Sequence[dict[str, Any]], require: bool
) -> tuple[list[str], int]:
    """The lines to print, and the exit code.

    Args:
        report: Of a database.
        accepted: What does not fail the audit.
        require: Whether an audit that is not done, or not whole, does.
    """
    lines, code, used = [], 0, []
    for vulnerability in report.found:
        name = f"{vulnerability.package} {vulnerability.version}: {' '.join(vulnerability.names)}"
        entry = _entry(vulnerability, accepted)
        if entry is None:
            fixed = ", ".join(vulnerability.fixed_in) or "no version"
            lines.append(f"KNOWN VULNERABILITY  {name}, fixed in {fixed}")
            code = FOUND
        else:
            used.append(entry)
            lines.append(f"accepted {entry['date']}  {name}: {entry['reason']}")
    whole = report.audited and not report.unknown
    if whole:
        lines += [
            f"not found any more, to be removed from the list: {entry['package']} {entry['id']}"
            for entry in accepted
            if entry not in used
        ]
    if report.unknown:
        reason = next(iter(report.unknown.values()))
        names = ", ".join(report.unknown)
        total = report.audited + len(report.unknown)
        share = f"{len(report.unknown)} of {total} packages" if report.audited else "any package"
        lines.append(f"packages without an answer: {names} ({reason})")
        lines.append(f"NOT AUDITED: no vulnerability database said anything about {share}")
        code = code or (NOT_DONE if require else 0)
    if report.audited:
        bad = sum(line.startswith("KNOWN") for line in lines)
        lines.append(f"audited: {report.audited} packages, {bad} known vulnerabilities to mend")
    return lines, code


def _entry(
    vulnerability: Vulnerability, accepted: Sequence[dict[str, Any]]
) -> dict[str, Any] | None:
    for entry in accepted:
        if entry["id"] in vulnerability.names and entry["package"] == vulnerability.package:
            return entry
    return None


if __name__ == "__main__":
    sys.exit(main())
