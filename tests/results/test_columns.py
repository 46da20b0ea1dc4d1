"""Samples as columns beside a results file."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest

from tests.support.results import LANDSCAPE, SQUARE, results_of
from tierexp.errors import ConfigError, DataError, MachineError
from tierexp.results.codec import encode
from tierexp.results.columns import (
    ColumnsBeingWritten,
    StoredSamples,
    column,
    columns_file,
    numbers,
    read_columns,
    shared_places,
    wanted_columns,
    write_columns,
)
from tierexp.results.files import load_results, sample_lines, write_results
from tierexp.results.latency import SampleLatency
from tierexp.results.metrics import Number
from tierexp.results.schema import EarlierPass, EvaluationResults

LATENCY = SampleLatency(**dict.fromkeys((f.name for f in dataclasses.fields(SampleLatency)), 1))
EARLIER = EarlierPass("low", 3, 576, 480, "né", -0.5, None, LATENCY)
SAMPLES = [
    dataclasses.replace(LANDSCAPE, latency=LATENCY, earlier_passes=(EARLIER,), point="high"),
    dataclasses.replace(SQUARE, prediction="", is_parsed=False, chance=0.25),
]

OTHER = LANDSCAPE.prediction[::-1]


def stored(tmp_path: Path) -> tuple[EvaluationResults, Path]:
    results = results_of(*SAMPLES)
    path = tmp_path / results.file_name
    write_results(results, path)
    write_columns(path)
    return results, path


def test_samples_come_back_as_they_are_in_the_results_file(tmp_path: Path) -> None:
    results, path = stored(tmp_path)
    read = load_results(path)
    assert isinstance(read.per_sample_results, StoredSamples)
    assert [encode(s) for s in read.per_sample_results] == [encode(s) for s in SAMPLES]
    assert tuple(read.per_sample_results) == results.per_sample_results
    assert read.per_sample_results[-1] == results.per_sample_results[1]
    assert list(read.per_sample_results[:1]) == [results.per_sample_results[0]]
    with pytest.raises(IndexError):
        read.per_sample_results[2]
    columns_file(path).unlink()
    whole = load_results(path)
    assert whole == results
    assert dataclasses.replace(read, per_sample_results=whole.per_sample_results) == whole


@pytest.mark.whole
def test_another_process_writes_them_or_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "é"
    results, path = stored(folder)
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")  # the other's
    text = path.read_bytes()
    for damage in (False, True):
        columns_file(path).unlink()
        if damage:
            columns_file(path).mkdir()
            (columns_file(path) / "kept").touch()
        with (
            pytest.raises(MachineError, match=r"\.parquet was not written: .*directory")
            if damage
            else nullcontext(),
            sample_lines(results.per_sample_results, folder) as lines,
            ColumnsBeingWritten(lines) as writer,
        ):
            write_results(results, path, lines)
            writer.belong_to(path)
        assert path.read_bytes() == text
        read = load_results(path).per_sample_results
        assert isinstance(read, tuple if damage else StoredSamples)
        assert tuple(read) == results.per_sample_results
        assert sorted(f.name for f in folder.iterdir()) == [path.name, columns_file(path).name]


@pytest.mark.whole
def test_what_fails_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        sample_lines(SAMPLES, tmp_path) as lines,
        ColumnsBeingWritten(lines),
    ):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_columns_are_those_of_the_samples(tmp_path: Path) -> None:
    results, path = stored(tmp_path)
    samples = load_results(path).per_sample_results
    for name in ("sample_id", "image_key", "accuracy", "utilization", "knobs"):
        assert list(column(samples, name)) == list(column(results.per_sample_results, name))
    assert numbers(samples, "selected_crops").tolist() == [
        s.metrics["selected_crops"] for s in SAMPLES
    ]
    here, there = shared_places(samples, [SAMPLES[1]])
    assert (here.tolist(), there.tolist()) == ([1], [0])


def test_pandas_reads_them(tmp_path: Path) -> None:
    _, path = stored(tmp_path)
    frame = pd.read_parquet(columns_file(path))
    assert frame["sample_id"].tolist() == [s.sample_id for s in SAMPLES]
    assert frame["accuracy"].dtype == float
    assert frame["selected_crops"].dtype == int
    assert frame["answers"][0].tolist() == list(LANDSCAPE.answers)
    assert json.loads(frame["earlier_passes"][0])[0]["prediction"] == "né"


@pytest.mark.parametrize("what", ["sample", "as long", "head", "damaged"])
def test_columns_of_another_file_are_not_read(tmp_path: Path, what: str) -> None:
    _, path = stored(tmp_path)
    if what == "damaged":
        columns_file(path).write_bytes(b"PAR1")
    else:
        text = path.read_text(encoding="utf-8")
        before, after = {
            "sample": ('"prediction":""', '"prediction":"a"'),
            "as long": (f'"prediction":"{LANDSCAPE.prediction}"', f'"prediction":"{OTHER}"'),
            "head": (f'"num_samples": {len(SAMPLES)}', '"num_samples": 7'),
        }[what]
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
    read = load_results(path)
    assert isinstance(read.per_sample_results, tuple)
    first, second = (sample.prediction for sample in read.per_sample_results)
    assert (first, second, read.num_samples) == {
        "sample": (LANDSCAPE.prediction, "a", 2), "as long": (OTHER, "", 2),
        "head": (LANDSCAPE.prediction, "", 7), "damaged": (LANDSCAPE.prediction, "", 2),
    }[what]  # fmt: skip


def test_a_copy_keeps_its_columns_though_it_has_another_date(tmp_path: Path) -> None:
    _, path = stored(tmp_path)
    os.utime(path, (1, 1))
    assert isinstance(load_results(path).per_sample_results, StoredSamples)


def test_large_runs_have_them_unless_they_are_not_wanted() -> None:
    assert read_columns({"columns": "auto"}) == "auto"
    assert [wanted_columns("auto", count) for count in (9_999, 10_000)] == [False, True]
    assert [wanted_columns("parquet", count) for count in (0, 1)] == [False, True]
    assert not wanted_columns("none", 10_000)
    with pytest.raises(ConfigError, match=r"results\.columns"):
        read_columns({"columns": "csv"})
    with pytest.raises(ConfigError, match=r"results\.column="):
        read_columns({"column": "none"})
    with pytest.raises(ConfigError, match=r"results='parquet'.*a group of keys"):
        read_columns("parquet")


def test_numbers_that_are_no_whole_ones_of_64_bits_are_fractions(tmp_path: Path) -> None:
    values: tuple[Number, ...] = (2**63, 0.5)
    results = results_of(
        *(
            dataclasses.replace(sample, metrics=sample.metrics | {"mine": value})
            for sample, value in zip(SAMPLES, values, strict=True)
        )
    )
    write_results(results, tmp_path / results.file_name)
    path = write_columns(tmp_path / results.file_name)
    assert pd.read_parquet(path)["mine"].tolist() == [2.0**63, 0.5]


def test_damage_inside_is_one_line(tmp_path: Path) -> None:
    _, path = stored(tmp_path)
    content = columns_file(path).read_bytes()
    columns_file(path).write_bytes(content[:4] + bytes(2000) + content[2004:])
    samples = load_results(path).per_sample_results
    for read in (lambda: samples[0], lambda: column(samples, "question")):
        with pytest.raises(DataError, match=r"\.parquet is damaged"):
            read()


def test_another_version_is_refused_whatever_lies_beside_it(tmp_path: Path) -> None:
    results = dataclasses.replace(results_of(*SAMPLES), schema_version=99)
    path = tmp_path / results.file_name
    write_results(results, path)
    write_columns(path)
    with pytest.raises(DataError, match="schema version 99"):
        load_results(path)
