"""The report: one page that holds every run, escapes what data says, and needs nothing else."""

from __future__ import annotations

import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command_line import run_on_fakes
from tests.support.sweeps import sweep
from tierexp.errors import DataError
from tierexp.report.command import main
from tierexp.report.figures import (
    mismatch_distribution,
    pareto_frontier,
    utilization_distribution,
)
from tierexp.report.page import write_report
from tierexp.report.varying import labels_of
from tierexp.results.files import load_results


class Page(HTMLParser):
    """Elements, text, and whatever would be fetched."""

    VOID = ("meta", "link", "img", "br", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [v or "" for name, v in attrs if name in ("src", "href", "xlink:href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep(tmp_path_factory.mktemp("report"), "latency=on", "latency.repeats=1")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.mark.whole
def test_every_run_and_every_target_is_there(page: Page, folder: Path) -> None:
    text = " ".join(" ".join(page.texts).split())
    for file in folder.rglob("*_tier-*.json"):
        run = load_results(file)
        assert run.accuracy is not None
        assert run.tier in text
        assert f"{run.accuracy:.1%}" in text
        for check in run.validation:
            assert f"{check.figure:.3f}" in text
    assert "accuracy low to medium" in text
    assert "mismatch reduction fixed 720 to medium" in text
    assert "3 runs of table" in text


@pytest.mark.whole
def test_what_data_says_is_text_and_nothing_else(page: Page) -> None:
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert "b" not in page.tags


@pytest.mark.whole
def test_nothing_is_fetched(page: Page) -> None:
    assert page.links
    for link in page.links:
        assert link.startswith(("data:image/jpeg;base64,", "#")), link


@pytest.mark.whole
def test_figures_take_the_page_s_ink(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert page.tags.count("svg") == 6
    assert text.count("currentColor") > 50
    assert "#123457" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


@pytest.mark.whole
def test_figures_are_files_as_well(folder: Path, page: Page) -> None:
    names = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert names == {
        "accuracy_tokens", "accuracy_latency", "accuracy_tasks", "mismatch", "utilization", "crops",
    }  # fmt: skip
    for name in names:
        with Image.open(folder / "figures" / f"{name}.png") as picture:
            assert picture.width > 1000
            assert len(picture.convert("L").getcolors(256) or []) > 2  # not blank
    assert page.tags


@pytest.mark.whole
def test_best_and_worst_images_are_shown(page: Page) -> None:
    text = " ".join(page.texts)
    assert len(re.findall(r"best: 2 x 2 crops, mismatch 0\.000", text)) == 2  # medium, fixed_720
    assert "worst: " in text


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_a_page_of_one_run_shows_samples(tmp_path: Path) -> None:
    """Nothing to disagree with: some questions, with what was right and what was said."""
    tables = {f"q{number}": f"said {number}" for number in range(4)}
    samples = [[[480, 640], question, [f"right {question}"], "read"] for question in tables]
    samples[0][2] = ["said 0"]
    outcome = run_on_fakes(tmp_path, samples, tables, "logger=none", "trainer=cpu")
    assert outcome.code == 0, outcome.err
    page = Page(write_report(tmp_path / "out").read_text(encoding="utf-8"))
    text = " ".join(" ".join(page.texts).split())
    assert "Some samples" in text
    assert "Where runs disagree" not in text
    shown = [number for number in range(4) if f" q{number} right: " in text]
    assert shown
    for number in shown:
        score = "1.00" if number == 0 else "0.00"
        assert re.search(rf"q{number} right: .*?said {number} {re.escape(score)}", text), text
    assert page.tags.count("img") >= 1 + len(shown)


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_runs_without_pictures_say_so(folder: Path, tmp_path: Path) -> None:
    out = shutil.copytree(folder, tmp_path / "out")
    for kept in out.glob("*/thumbnails"):
        shutil.rmtree(kept)
    text = write_report(out).read_text(encoding="utf-8")
    assert "no picture was kept" in text
    assert "<img" not in text


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_pictures_need_no_data_set(folder: Path, tmp_path: Path) -> None:
    samples = folder.parent / "samples.json"
    out = shutil.copytree(folder, tmp_path / "out")
    kept = samples.rename(tmp_path / "elsewhere.json")
    text = write_report(out).read_text(encoding="utf-8")
    kept.rename(samples)
    assert "no picture was kept" not in text
    # Best, median and worst of three runs.
    assert text.count("<img") >= 9


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(folder)])
    assert capsys.readouterr().out == f"report  {folder / 'report.html'}\n"
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SystemExit) as end:
            main([str(path)])
        assert end.value.code == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert str(path) in err


def test_what_is_no_sweep_is_told_before_figures_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tierexp.report.page", None)  # importing it would fail
    left = tmp_path / "run" / "interrupted_x_tier-low.json"
    left.parent.mkdir()
    left.touch()
    for path, words in ((tmp_path, f"{left}: resume=true"), (tmp_path / "no", "is not a folder")):
        with pytest.raises(SystemExit):
            main([str(path)])
        assert words in capsys.readouterr().err


@pytest.mark.whole
def test_results_of_two_data_sets_are_no_sweep(folder: Path, tmp_path: Path) -> None:
    (file, other, *_) = folder.rglob("*_tier-*.json")
    (tmp_path / file.name).write_text(file.read_text())
    changed = other.read_text().replace('"dataset": "plain_images"', '"dataset": "others"')
    (tmp_path / f"x{other.name}").write_text(changed)
    with pytest.raises(DataError, match="more than one dataset"):
        write_report(tmp_path)


def test_pareto_frontier_by_hand() -> None:
    points = [(1.0, 0.5), (2.0, 0.6), (2.0, 0.55), (3.0, 0.6), (4.0, 0.9), (1.0, 0.5)]
    assert pareto_frontier(points) == [0, 1, 4, 5]


@pytest.mark.whole
def test_axes_say_what_they_show(folder: Path) -> None:
    runs = [load_results(file) for file in sorted(folder.glob("*/*_tier-*.json"))]
    for figure, words in (
        (mismatch_distribution(runs), "aspect-ratio mismatch"),
        (utilization_distribution(runs), "token utilization, %"),
    ):
        (axes,), (legend,) = figure.axes, figure.legends
        assert axes.get_xlabel().startswith(words)
        assert [text.get_text() for text in legend.get_texts()] == labels_of(runs)
