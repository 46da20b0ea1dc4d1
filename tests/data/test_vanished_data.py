"""Files that are there when a run is planned and gone when it reads them: counted, or one line; and
once they are back, `resume=true` makes good for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from tests.support.command_line import FAKES, Outcome, run_eval, timeless
from tests.support.fakes import TableModel
from tests.support.hub_tables import table
from tierexp.evaluation.journal import FILE_NAME

NAMES = [f"n{number}" for number in range(6)]
TABLE = {f"Is it {name}?": "yes" if name != "n2" else "no" for name in NAMES}
LAST = "images/n5.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    lines = []
    for number, name in enumerate(NAMES):
        Image.new("RGB", (640, 480), (40 * number, 0, 0)).save(tmp_path / f"images/{name}.png")
        lines.append(
            {"id": name, "image": f"images/{name}.png", "question": f"Is it {name}?"}
            | {"answers": ["yes"]}
        )
    (tmp_path / "photos.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "table.json").write_text(json.dumps(TABLE))
    return tmp_path


def run(folder: Path, *arguments: str, out: str = "out", form: str = "jsonl") -> Outcome:
    return run_eval(
        *FAKES[:3], "data=folder" if form == "jsonl" else "data=hub",
        f"data.path={folder / f'photos.{form}'}", "data.batch_size=2", "data.num_workers=0",
        f"model.table={folder / 'table.json'}", "trainer=cpu", "logger=csv",
        f"output_dir={folder / out}", *arguments,
    )  # fmt: skip


def answered(monkeypatch: pytest.MonkeyPatch, first: Callable[[], object]) -> list[int]:
    """Rows of the batches that the model is given; with the first of them something happens."""
    rows: list[int] = []
    generate = TableModel.generate

    def counted(self: TableModel, inputs: Any, *rest: Any, **more: Any) -> Any:
        if not rows:
            first()
        rows.append(len(inputs.input_ids))
        return generate(self, inputs, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", counted)
    return rows


def failures(folder: Path) -> list[tuple[str, str]]:
    found = timeless(folder)["failures"]
    return [(failure["sample_id"], failure["reason"]) for failure in found]


@pytest.mark.whole
def test_a_vanished_image_is_counted_and_made_good_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, out="whole").code == 0
    whole, image = timeless(folder / "whole"), folder / LAST
    content = image.read_bytes()
    rows = answered(monkeypatch, image.unlink)
    outcome = run(folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert failures(folder / "out") == [("n5", f"{image}: no such file")]
    assert sum(rows) == 5
    # Gone, the data file names what is not there.
    outcome = run(folder, "resume=true")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "n5.png does not exist" in outcome.err
    image.write_bytes(content)
    outcome = run(folder, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert sum(rows) == 6  # that one alone
    assert timeless(folder / "out") == whole
    assert not (folder / "out" / FILE_NAME).exists()
    metrics = (folder / "out" / "csv" / "metrics.csv").read_text().splitlines()
    logged = dict(zip(metrics[0].split(","), metrics[1].split(","), strict=True))
    assert float(logged["test/accuracy"]) == pytest.approx(whole["accuracy"])
    assert float(logged["test/num_samples"]) == 6
    # Done: nothing is left to make good for.
    assert run(folder, "resume=true").code == 0
    assert sum(rows) == 6


@pytest.mark.whole
def test_an_interrupted_run_makes_good_for_it_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, out="whole").code == 0
    image = folder / LAST
    content = image.read_bytes()
    rows = answered(monkeypatch, image.unlink)
    with monkeypatch.context() as patched:
        patched.setattr("tierexp.evaluation.lead.write_results", _power_cut)
        with pytest.raises(KeyError):
            run(folder)
    image.write_bytes(content)
    assert run(folder, "resume=true").code == 0
    assert sum(rows) == 6
    assert timeless(folder / "out") == timeless(folder / "whole")


def _power_cut(*_: object) -> None:
    raise KeyError("power cut")


@pytest.mark.whole
def test_an_image_that_stays_broken_is_not_answered_over_and_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (folder / LAST).read_bytes()
    Image.effect_noise((640, 480), 50).save(folder / LAST)
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:9000])  # a header, and half of it
    rows = answered(monkeypatch, lambda: None)
    assert run(folder).code == 0
    assert [name for name, _ in failures(folder / "out")] == ["n5"]
    assert run(folder, "resume=true").code == 0
    assert sum(rows) == 5
    # Repaired, of the same size.
    (folder / LAST).write_bytes(content)
    assert run(folder, "resume=true").code == 0
    assert sum(rows) == 6
    assert failures(folder / "out") == []


@pytest.mark.whole
def test_a_vanished_image_can_end_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = folder / LAST
    content = image.read_bytes()
    rows = answered(monkeypatch, image.unlink)
    outcome = run(folder, "data.on_error=raise")
    assert outcome.code == 2
    assert outcome.err == f"error: sample n5: {image}: no such file\n"
    image.write_bytes(content)
    assert run(folder, "data.on_error=raise", "resume=true").code == 0
    assert sum(rows) == 6  # nothing that was measured is measured again


@pytest.mark.whole
def test_a_file_name_that_changes_with_what_was_made_good_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the mean number of crops; there is one results file in the end."""
    for number, name in enumerate(NAMES):
        # Four crops, and eight: 24 / 5 are 4.8 without the last image and 32 / 6 are 5.3 with it.
        size = (512, 512) if number < 4 else (1792, 952)
        Image.new("RGB", size).save(folder / f"images/{name}.png")
    content = (folder / LAST).read_bytes()
    answered(monkeypatch, (folder / LAST).unlink)
    assert run(folder).code == 0
    (before,) = (folder / "out").glob("*_tier-*.json")
    (folder / LAST).write_bytes(content)
    assert run(folder, "resume=true").code == 0
    (after,) = (folder / "out").glob("*_tier-*.json")
    assert before.name != after.name
    assert timeless(folder / "out")["num_samples"] == 6


@pytest.mark.whole
def test_latencies_are_made_good_for_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = folder / LAST
    content = image.read_bytes()
    timed = ("latency=on", "latency.repeats=1", "latency.warmup=0")
    answered(monkeypatch, image.unlink)
    assert run(folder, *timed).code == 0
    before = timeless(folder / "out")
    assert before["latency"]["num_samples"] == 5
    image.write_bytes(content)
    assert run(folder, *timed, "resume=true").code == 0
    after = timeless(folder / "out")
    assert after["latency"]["num_samples"] == after["num_samples"] == 6
    kept = [sample["latency"] for sample in after["per_sample_results"]]
    assert kept[:5] == [sample["latency"] for sample in before["per_sample_results"]]
    assert kept[5] is not None


@pytest.mark.whole
def test_an_image_that_vanishes_before_it_is_timed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = TableModel.generate

    def until_timed(self: TableModel, *rest: Any, clock: Any = None, **more: Any) -> Any:
        if clock is not None:
            (folder / LAST).unlink(missing_ok=True)
        return generate(self, *rest, **more)

    monkeypatch.setattr(TableModel, "generate", until_timed)
    outcome = run(folder, "latency=on", "latency.repeats=1", "latency.warmup=0")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"sample n5 is not timed: {folder / LAST}: no such file" in outcome.out
    content = timeless(folder / "out")
    assert (content["num_samples"], content["latency"]["num_samples"]) == (6, 5)


@pytest.mark.whole
def test_an_image_that_vanishes_before_it_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's table of samples is drawn once the results are written."""
    from tierexp.evaluation import lead

    write = lead.write_results

    def and_lose_it(*arguments: Any) -> None:
        write(*arguments)
        (folder / LAST).unlink()

    monkeypatch.setattr(lead, "write_results", and_lose_it)
    outcome = run(folder, "logger=wandb", "logger.mode=disabled")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"sample n5 is not shown: {folder / LAST}: no such file" in outcome.out


@pytest.mark.whole
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_the_data_file_itself(
    form: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a run needs of it, it has read or opened; to go on, it has to be there."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    file = folder / f"photos.{form}"
    if form == "parquet":
        table(6).to_parquet(file)
    content = file.read_bytes()
    rows = answered(monkeypatch, file.unlink)
    with monkeypatch.context() as patched:
        patched.setattr("tierexp.evaluation.lead.write_results", _power_cut)
        with pytest.raises(KeyError):
            run(folder, form=form)
    assert sum(rows) == 6
    gone = run(folder, "resume=true", form=form)
    assert gone.code == 2
    assert gone.err.startswith("error: data.path=")
    assert gone.err.count("\n") == 1
    file.write_bytes(content)
    assert run(folder, "resume=true", form=form).code == 0
    assert sum(rows) <= 8  # at most a batch, so that Lightning logs something
    assert timeless(folder / "out")["num_samples"] == 6
