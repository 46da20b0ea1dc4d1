"""The audit of the pinned packages never passes for done where no database answered."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.command_line import TESTS

CI = TESTS.parent / ".ci"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_audit", CI / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


audit = load()

# As pip-audit 2.10 prints them.
CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
BAD = {
    "name": "jinja2", "version": "3.1.2",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["3.1.3"], "aliases": ["CVE-2024-22195"]}],
}  # fmt: skip
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI: torch (2.13.0)"}
ACCEPTED = """
[[accepted]]
id = "{id}"
package = "{package}"
reason = "the filter is not used"
date = 2026-11-24
"""


def run(
    folder: Path, capsys: pytest.CaptureFixture[str], answers: dict[str, str], accepted: str = "",
    *options: str,
) -> tuple[int, str]:  # fmt: skip
    """The exit code and the output; services without an answer print nothing."""
    (folder / "accepted.toml").write_text(accepted)
    code = audit.main(
        [str(folder / "constraints.txt"), str(folder / "accepted.toml"), *options],
        lambda service: answers.get(service, ""),
    )
    return code, capsys.readouterr().out


def printed(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_nothing_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(tmp_path, capsys, {"pypi": printed(CLEAN, CLEAN | {"name": "pillow"})})
    assert (code, out) == (0, "audited: 2 packages, 0 known vulnerabilities to mend\n")


def test_a_known_vulnerability_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(tmp_path, capsys, {"pypi": printed(CLEAN, BAD)})
    assert code == 1
    assert "KNOWN VULNERABILITY  jinja2 3.1.2: PYSEC-2024-1 CVE-2024-22195, fixed in 3.1.3" in out


@pytest.mark.parametrize("name", ["PYSEC-2024-1", "CVE-2024-22195"])
def test_one_that_is_accepted_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    entry = ACCEPTED.format(id=name, package="jinja2")
    code, out = run(tmp_path, capsys, {"pypi": printed(CLEAN, BAD)}, entry)
    assert code == 0
    assert "accepted 2026-11-24  jinja2 3.1.2" in out
    assert "the filter is not used" in out


@pytest.mark.parametrize(
    ("name", "package"), [("PYSEC-2024-2", "jinja2"), ("PYSEC-2024-1", "numpy")]
)
def test_another_one_that_is_accepted_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, package: str
) -> None:
    entry = ACCEPTED.format(id=name, package=package)
    code, out = run(tmp_path, capsys, {"pypi": printed(CLEAN, BAD)}, entry)
    assert code == 1
    assert f"to be removed from the list: {package} {name}" in out


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"pypi": "Traceback (most recent call last):", "osv": ""},
        {"pypi": "[]", "osv": "{}"},
        {"pypi": printed(UNKNOWN)},
        {"pypi": printed()},
    ],
)
def test_no_database_is_said_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answers: dict[str, str]
) -> None:
    code, out = run(tmp_path, capsys, answers)
    assert code == 0
    assert "NOT AUDITED: no vulnerability database said anything about any package" in out
    assert "audited:" not in out
    assert run(tmp_path, capsys, answers, "", "--require")[0] == 3


def test_a_part_is_not_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {"pypi": printed(CLEAN, UNKNOWN)}
    code, out = run(tmp_path, capsys, answers)
    assert code == 0
    assert "NOT AUDITED: no vulnerability database said anything about 1 of 2 packages" in out
    assert "torch" in out
    assert run(tmp_path, capsys, answers, "", "--require")[0] == 3
    assert run(tmp_path, capsys, {"pypi": printed(BAD, UNKNOWN)}, "", "--require")[0] == 1


def test_another_database_answers_for_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"pypi": printed(CLEAN, UNKNOWN), "osv": printed(CLEAN, BAD)}
    code, out = run(tmp_path, capsys, answers)
    assert code == 1
    assert "NOT AUDITED" not in out


@pytest.mark.parametrize(
    "text",
    [
        "accepted = 3", "[[accepted]]\nid = 'x'", "nonsense", "[other]",
        ACCEPTED.format(id="x", package="y").replace("2026-11-24", "'today'"),
        ACCEPTED.format(id="x", package="y").replace("the filter is not used", " "),
        ACCEPTED.format(id="x", package="y") + "until = 3",
    ],
)  # fmt: skip
def test_an_entry_needs_a_reason_and_a_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    code, out = run(tmp_path, capsys, {"pypi": printed(CLEAN)}, text)
    assert code == 2
    assert "accepted.toml: " in out


def test_the_projects_own_list_can_be_read() -> None:
    assert isinstance(audit.read_accepted(CI / "accepted_vulnerabilities.toml"), list)


def test_every_package_of_the_constraints_has_one_version() -> None:
    """pip-audit refuses the whole file otherwise."""
    lines = (TESTS.parent / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line.strip() and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in pins)
    names = [line.partition("==")[0].lower().replace("_", "-") for line in pins]
    assert len(names) == len(set(names))
