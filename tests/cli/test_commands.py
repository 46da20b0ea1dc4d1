"""The installed command: each of its names runs the script of that name, and no other name does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tierexp
from tierexp.cli import commands

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ROOT.glob("*.py"))


def test_every_script_is_a_command_and_every_command_a_script() -> None:
    assert {script.stem.replace("_", "-") for script in SCRIPTS} == set(commands.COMMANDS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs_the_command_of_its_name(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = script.stem.replace("_", "-")
    begun: list[str] = []
    function = commands.COMMANDS[name]
    monkeypatch.setattr(commands, function.__name__, lambda: begun.append(name))
    exec(compile(script.read_text(), str(script), "exec"), {"__name__": "__main__"})
    assert begun == [name]


def test_arguments_reach_the_command_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setitem(commands.COMMANDS, "eval", lambda: seen.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["anything"])
    commands.main(["eval", "-m", "tier=low,high", "data.path=a b"])
    assert seen == [["tierexp eval", "-m", "tier=low,high", "data.path=a b"]]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        commands.main(arguments)
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in commands.COMMANDS)


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        commands.main(["evl", "tier=low"])
    assert end.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "did you mean eval?" in text


@pytest.mark.whole
def test_it_is_installed_and_works_away_from_the_clone(tmp_path: Path) -> None:
    tier = tmp_path / "my" / "tier" / "mine.yaml"
    tier.parent.mkdir(parents=True)
    tier.write_text((ROOT / "conf/tier/medium.yaml").read_text().replace("medium", "mine"))
    command = [Path(sys.executable).parent / "tierexp", "eval", "--config-dir", "my", "tier=mine"]
    done = subprocess.run(
        [*map(str, command), "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "name: mine" in done.stdout
    version = subprocess.run([str(command[0]), "--version"], capture_output=True, text=True)
    assert version.stdout == f"tierexp {tierexp.__version__}\n"
