"""A policy of one's own, plugged in through a folder of configuration alone."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.support.command_line import ARGUMENTS, run_eval
from tierexp.results.files import load_results
from tierexp.results.schema import SampleResult

MY = Path(__file__).parent / "my"
SAMPLES = 4
FEW = ("model=tiny", "data=tierqa", f"data.max_samples={SAMPLES}")


def answered(folder: Path, *arguments: str) -> tuple[SampleResult, ...]:
    outcome = run_eval(*FEW, *ARGUMENTS, f"output_dir={folder}", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*_tier-*.json")
    return load_results(path).per_sample_results


@pytest.mark.whole
def test_a_seeded_coin_between_two_tiers(tmp_path: Path) -> None:
    tossed = answered(tmp_path / "coin", "--config-dir", str(MY), "policy=coin", "seed=3")
    static = {name: answered(tmp_path / name, f"tier={name}") for name in ("low", "medium")}
    coin = Random(3)
    expected = [("low", "medium")[coin.randrange(2)] for _ in range(SAMPLES)]
    assert [sample.point for sample in tossed] == expected
    assert set(expected) == {"low", "medium"}
    for number, (sample, name) in enumerate(zip(tossed, expected, strict=True)):
        alone = static[name][number]
        assert (sample.prediction, sample.tier, sample.selected_tiling) == (
            alone.prediction, alone.tier, alone.selected_tiling,
        )  # fmt: skip
