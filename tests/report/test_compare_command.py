"""`compare.py`: where its file goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.results import LANDSCAPE, SQUARE, results_of
from tierexp.report.command import main as report
from tierexp.report.compare_command import main
from tierexp.report.tokens_command import main as tokens
from tierexp.results.files import write_results


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The results files of three runs, below `work`; the current folder is another one."""
    files = [tmp_path / "work" / name / "x_tier-medium_1.json" for name in ("s/0", "s/1", "old")]
    for file in files:
        write_results(results_of(LANDSCAPE, SQUARE), file)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return files


@pytest.mark.parametrize(
    ("given", "folder", "count"),
    [
        (["work/s"], "work/s", 2),  # the folder of a sweep
        (["work/s", "work/old"], "work", 3),
        (["work/s/0/x_tier-medium_1.json", "work/s/1"], "work/s", 2),
        (["work/old/x_tier-medium_1.json", "work/old"], "work/old", 2),
        (["work/s", "--output", "here/mine.json"], "here/mine.json", 2),
    ],
)
def test_the_file_goes_into_the_folder_that_was_given(
    given: list[str], folder: str, count: int, runs: list[Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    main([word if word.startswith("--") else f"../{word}" for word in given])
    named = tmp_path / folder
    file = named if named.suffix else named / "comparison.json"
    assert list(tmp_path.rglob("comparison.json")) == ([] if named.suffix else [file])
    assert len(json.loads(file.read_text())["runs"]) == count
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("comparison  ")
    assert Path(said.split()[1]).resolve() == file


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (main, [], "PATH"),
        (main, ["a", "b", "--out"], "--out"),
        (report, [], "DIR"),
        (report, ["a", "b"], "unrecognized arguments: b"),
        (tokens, [], "PHOTO_OR_SIZE"),
        (tokens, ["640x480", "--jsom"], "--jsom"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line(
    command: Callable[[list[str]], None], arguments: list[str], words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as end:
        command(arguments)
    said = capsys.readouterr()
    assert (end.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("error: ")
    assert words in said.err
