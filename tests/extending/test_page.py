"""The page about extending, done as it says: its files written, its commands typed in bash."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import TESTS, run_eval
from tierexp.results.files import load_results

ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
MOST_LINES = 32


def fast(command: str) -> tuple[str, ...]:
    """What makes a command short: a question instead of many, few tokens where no tier is named."""
    few = ("data.max_samples=1",) if "data.max_samples=" in command else ()
    small = () if "tier=" in command else ("tier=fixed_288",)
    quiet = ("logger=none", "trainer=cpu", "data.num_workers=0", "output_dir=out")
    return (*quiet, *few, *small)


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a user who has written every file of the page."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    from PIL import Image

    Image.new("RGB", (640, 480), "white").save(tmp_path / "photo.png")
    line = (
        '{"id": "1", "image": "photo.png", "question": "Is there a red circle?", "answers": ["n"]}'
    )
    (tmp_path / "photos.jsonl").write_text(line + "\n")
    monkeypatch.chdir(tmp_path)
    # Where the folder's modules are found, and which were found.
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    names = [Path(name).stem for name in FILES if name.endswith(".py")]
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(others)


@pytest.mark.whole
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(followed: Path, command: str) -> None:
    _, script, *arguments = shlex.split(command)
    assert script == "eval.py"
    outcome = run_eval(*arguments, *fast(command))
    assert (outcome.code, outcome.err) == (0, "")
    assert_measured(followed, command)


@pytest.mark.whole
def test_the_first_one_runs_in_bash(followed: Path) -> None:
    script = COMMANDS[0].strip().replace("python eval.py", f"{sys.executable} {ROOT / 'eval.py'}")
    done = subprocess.run(
        ["bash", "-c", f"{script} {shlex.join(fast(script))}"], cwd=followed, capture_output=True,
        text=True, env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_measured(followed, script)


def assert_measured(folder: Path, command: str) -> None:
    (path,) = (folder / "out").glob("*_tier-*.json")
    results = load_results(path)
    assert results.num_samples > 0
    if "starts" in command:
        assert results.accuracy == float(results.per_sample_results[0].prediction[:1] == "n")


def test_examples_are_short() -> None:
    assert len(FILES) >= 6
    assert all(len(text.splitlines()) <= MOST_LINES for text in FILES.values())
