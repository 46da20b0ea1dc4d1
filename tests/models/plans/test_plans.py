"""The vocabulary, and plans of single families against numbers known from elsewhere."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.size_draw import draw_sizes
from tierexp.errors import ConfigError
from tierexp.models.deepseek_ocr.geometry import DeepseekOcrGeometry
from tierexp.models.gemma4.geometry import Gemma4Geometry
from tierexp.models.internvl.geometry import FAMILY as INTERNVL
from tierexp.models.lfm2_vl.geometry import Lfm2VlGeometry
from tierexp.models.plans import registry
from tierexp.models.plans.closest_aspect import ClosestAspectFamily
from tierexp.models.plans.plan import MAX_SIDE, RefusedSizeError
from tierexp.models.plans.registry import preset, presets

GOLDEN = Path(__file__).parents[2] / "golden"
PUBLISHED = GOLDEN / "family_tokens.csv"
"""What the processors of transformers 5.24.0 made with a tokenizer of bytes, without weights."""

NOT_MEASURED = {"deepseek_ocr", "gemma3_pan_and_scan", "mllama", "molmo"}


@pytest.mark.parametrize("family", sorted(presets()))
def test_published_counts(family: str) -> None:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["family"] == family]
    assert lines or family in NOT_MEASURED
    for line in lines:
        assert line["settings"] == preset(family).settings
        plan = preset(family).geometry.plan(int(line["height"]), int(line["width"]))
        assert plan.vision_tokens == int(line["vision_tokens"]), line
        assert plan.marks == int(line["marks"]), line
        assert not line["images"] or plan.images == int(line["images"]), line


def test_every_published_family_has_a_preset() -> None:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        families = {line["family"] for line in csv.DictReader(file)}
    assert families <= set(presets())


@pytest.mark.parametrize("family", sorted(presets()))
def test_many_images_are_planned_as_one_is(family: str) -> None:
    geometry = preset(family).geometry
    sizes = draw_sizes(40)
    # More than are planned at once, so that every size stands at several places of a chunk.
    repeated = np.tile(sizes, (450, 1))
    plans = geometry.plan_many(repeated[:, 0], repeated[:, 1])
    assert len(plans) == 18_000
    for index, (height, width) in enumerate(sizes.tolist()):
        places = slice(index, None, len(sizes))
        try:
            plan = geometry.plan(height, width)
        except RefusedSizeError:
            assert plans.refused[places].all()
            assert not plans.vision_tokens[places].any()
            continue
        assert not plans.refused[places].any()
        assert (plans.grids[places] == plan.grid).all()
        assert (plans.images[places] == plan.images).all()
        assert (plans.vision_tokens[places] == plan.vision_tokens).all()
        assert (plans.marks[places] == plan.marks).all()


def test_wider_is_not_dearer_in_internvl() -> None:
    widths = [448, 522, 523, 635, 784, 1009, 1232]
    plans = INTERNVL.preset.geometry.plan_many([448] * len(widths), widths)
    assert plans.images.tolist() == [1, 1, 13, 7, 3, 11, 4]


def test_a_square_jumps_with_its_area() -> None:
    plans = INTERNVL.preset.geometry.plan_many([633, 634, 950, 951], [633, 634, 950, 951])
    assert plans.images.tolist() == [1, 5, 5, 10]


def test_the_cap_leaves_the_global_view_out() -> None:
    few = ClosestAspectFamily(crop_size=448, tokens_per_image=256, max_patches=4)
    assert few.plan(480, 640).images == 1
    none = ClosestAspectFamily(crop_size=448, tokens_per_image=256, crop_to_patches=False)
    assert none.plan(480, 640).images == 1


def test_lowering_the_cap_of_lfm2_raises_the_tokens() -> None:
    assert Lfm2VlGeometry().plan(480, 640).vision_tokens == 234
    assert Lfm2VlGeometry(max_image_tokens=64).plan(480, 640).vision_tokens == 1590
    whole = Lfm2VlGeometry(max_image_tokens=64, do_image_splitting=False)
    assert whole.plan(480, 640).vision_tokens == 54


def test_molmo_reads_what_its_definition_says() -> None:
    plan = preset("molmo").geometry.plan(480, 640)
    assert plan.grid == (2, 3)
    assert plan.images == 7
    assert plan.vision_tokens == 704
    # Rows of 12 and of 20, the two starts and ends, and the start of the sequence.
    assert plan.marks == 12 + 20 + 4 + 1


def test_deepseek_ocr_reads_what_its_code_lays_out() -> None:
    geometry = preset("deepseek_ocr").geometry
    # 16 rows of 16 and a line break, and the separator.
    assert geometry.plan(640, 640).vision_tokens == 16 * 17 + 1
    # 1920 x 1080 is nearest to 2 : 1, and has more pixels than half of 2 x 4 crops.
    wide = geometry.plan(1080, 1920)
    assert wide.grid == (2, 4)
    assert wide.images == 9
    assert wide.vision_tokens == 273 + 20 * (40 + 1)
    assert geometry.plan(2000, 2000).grid == (3, 3)
    assert geometry.plan(2000, 2000).vision_tokens == 273 + 30 * 31


def test_deepseek_ocr_counts_what_its_published_code_counts() -> None:
    """The processor of the authors' repository (commit e4ac34e, October 2025), run with stand-ins
    for pixels and tokenizer on 2,000 sizes, at most nine crops and at most six; here the smallest
    and the largest size of each outcome.
    """
    with (GOLDEN / "deepseek_ocr_tokens.csv").open() as file:
        rows = [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file)]
    heights, widths = [row["height"] for row in rows], [row["width"] for row in rows]
    geometry = preset("deepseek_ocr").geometry
    assert isinstance(geometry, DeepseekOcrGeometry)
    for most in (9, 6):
        plans = replace(geometry, max_crops=most).plan_many(heights, widths)
        assert plans.vision_tokens.tolist() == [row[f"tokens_{most}"] for row in rows]
        grids = [[row[f"rows_{most}"], row[f"cols_{most}"]] for row in rows]
        assert plans.grids.tolist() == grids


def test_what_a_processor_refuses_is_said() -> None:
    qwen = preset("qwen3_vl").geometry
    assert qwen.plan(1000, 5).vision_tokens > 0
    with pytest.raises(RefusedSizeError, match="4 x 1000 pixels"):
        qwen.plan(1000, 4)


def test_sides_are_checked() -> None:
    geometry = preset("qwen3_vl").geometry
    with pytest.raises(ValueError, match="height must be at least 1"):
        geometry.plan(0, 5)
    with pytest.raises(ValueError, match="no image has sides above"):
        geometry.plan(5, MAX_SIDE + 1)
    with pytest.raises(TypeError, match="whole pixels"):
        geometry.plan_many([1.5], [3])


def test_budgets_of_gemma4() -> None:
    with pytest.raises(ConfigError, match="max_soft_tokens=256"):
        Gemma4Geometry(48, max_soft_tokens=256)


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ConfigError, match="family='qwen9' is not possible: one of aria, aya"):
        preset("qwen9")


def test_a_family_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "invented"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "geometry.py").write_text(
        "from tierexp.models.plans.family import Family\n"
        "from tierexp.models.plans.fixed_tokens import FixedTokens\n"
        "from tierexp.models.plans.plan import Preset\n"
        'FAMILY = Family((Preset("invented", "none", FixedTokens(10, 7)),))\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(registry.models, "__path__", [*registry.models.__path__, str(tmp_path)])
    every = set(presets())
    monkeypatch.setattr(registry, "families", registry.families.__wrapped__)
    found = presets()
    assert found["invented"].geometry.plan(3, 4).vision_tokens == 7
    assert set(found) - every == {"invented"}


def test_plans_need_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from tierexp.models.plans.registry import presets;"
        "from tierexp.models.plans import token_tiers, policies; presets();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
