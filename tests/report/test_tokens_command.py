"""`tierexp tokens`: what it prints, writes and refuses."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tierexp.models.plans.registry import preset, presets
from tierexp.report.tokens_command import main

KEYS = [
    "family", "width", "height", "policy", "grid", "images", "vision_tokens", "marks", "mismatch",
]  # fmt: skip


def tokens(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def records(*arguments: str) -> list[dict[str, object]]:
    code, out, _ = tokens(*arguments, "--json")
    assert code == 0
    found: list[dict[str, object]] = json.loads(out)
    return found


@pytest.mark.whole
def test_json_has_a_row_for_every_family_and_policy() -> None:
    rows = records("640x480")
    assert [(row["family"], row["policy"]) for row in rows] == [
        (family, policy) for family in presets() for policy in ("native", "low", "medium", "high")
    ]
    for row in rows:
        assert list(row) == (KEYS if row["grid"] else [*KEYS, "reason"])
        assert (row["width"], row["height"]) == (640, 480)


@pytest.mark.whole
def test_native_rows_are_the_familys_own_rule() -> None:
    for row in records("480x640"):
        if row["policy"] == "native":
            plan = preset(str(row["family"])).geometry.plan(640, 480)
            assert row["vision_tokens"] == plan.vision_tokens
            assert row["grid"] == list(plan.grid)
            assert (row["images"], row["marks"]) == (plan.images, plan.marks)


def test_a_worked_example() -> None:
    (medium,) = [
        row for row in records("640x480", "--family", "molmo") if row["policy"] == "medium"
    ]
    assert medium["grid"] == [2, 3]
    assert medium["vision_tokens"] == 704
    assert medium["mismatch"] == pytest.approx(1.5 - (640 - 112) / (480 - 112))


def test_csv_says_to_what_a_tier_brings_the_image() -> None:
    code, out, _ = tokens("640x480", "--family", "qwen3_vl", "--family", "gemma3", "--csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["family"] for row in rows] == ["qwen3_vl"] * 4 + ["gemma3"] * 4
    low = rows[1]
    assert (low["grid_rows"], low["grid_cols"], low["vision_tokens"]) == ("18", "24", "432")
    assert (low["brought_to_width"], low["brought_to_height"]) == ("768", "576")
    assert rows[5]["vision_tokens"] == ""
    assert rows[5]["reason"] == "no grid of 288 to 576 tokens: the nearest are of 256"


def test_the_table_names_families_policies_and_what_is_out_of_reach() -> None:
    code, out, _ = tokens("640x480", "--family", "internvl", "--family", "molmo")
    assert code == 0
    title, header, internvl, molmo = out.splitlines()
    assert title.startswith("640 x 480: grid")
    assert header.split() == ["family", "native", "low", "medium", "high"]
    assert internvl.split()[:5] == ["internvl", "3x4", "3328", "0.00", "100%"]
    assert "none: 256 and 768" in internvl
    assert "2x3   704  0.07  95%" in molmo


def test_a_photo_is_taken_as_it_is_displayed(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    picture = Image.new("RGB", (60, 40))
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn
    picture.save(photo, exif=exif)
    (row, *_) = records(str(photo), "--family", "qwen3_vl")
    assert (row["width"], row["height"]) == (40, 60)


def test_several_images_follow_one_another() -> None:
    sizes = [(row["width"], row["height"]) for row in records("3x2000", "9x7", "--family", "aria")]
    assert sizes == [(3, 2000)] * 4 + [(9, 7)] * 4


def test_a_refused_size_is_a_row_with_a_reason() -> None:
    native = records("3x2000", "--family", "qwen3_vl")[0]
    assert native["vision_tokens"] is None
    assert "3 x 2000 pixels is refused" in str(native["reason"])


def test_a_tier_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(
        "_target_: tierexp.tiers.tier.Tier\nname: mine\nmin_crops: 1\nmax_crops: 1\n"
        "preferred_crops: [1]\ntypical_vision_tokens: 288\n",
        encoding="utf-8",
    )
    rows = records("640x480", "--family", "qwen3_vl", "--tier", str(own))
    assert [row["policy"] for row in rows] == ["native", "mine"]
    assert rows[1]["vision_tokens"] == 288


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: PHOTO_OR_SIZE"),
        (["640"], "PHOTO_OR_SIZE='640' is not possible: an existing image file, or a size"),
        (["0x5"], "sides of 1 to 2147483647 pixels"),
        (["9999999999x5"], "sides of 1 to 2147483647 pixels"),
        (["5x5", "--family", "nobody"], "family='nobody' is not possible: one of aria"),
        (["5x5", "--tier", "native"], "--tier='native' is not possible"),
        (["5x5", "--tier", "huge"], "--tier='huge' is not possible"),
        (["5x5", "--json", "--csv"], "not allowed with argument"),
        (["5x5", "--bogus"], "unrecognized arguments: --bogus"),
        (["5x5", "6x6", "--draw", "a.png"], "one photo or size at a time"),
        (["5x5", "--draw", "nowhere/a.png"], "nowhere is not a folder"),
        (["5x5", "--family", "aria", "--draw", "a.nothing"], "a .png or .jpg file"),
    ],
)
def test_mistakes_cost_one_line(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = tokens(*arguments)
    assert code == 2
    assert not out
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert told in err
    assert not list(tmp_path.iterdir())


def test_a_damaged_photo_is_one_line(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"nothing")
    code, _, err = tokens(str(photo))
    assert code == 2
    assert err.count("\n") == 1


def test_the_drawing_shows_every_reachable_tiling(tmp_path: Path) -> None:
    photo, drawing = tmp_path / "photo.png", tmp_path / "drawing.png"
    Image.new("RGB", (400, 300), (0, 90, 200)).save(photo)
    code, _, _ = tokens(str(photo), "--family", "internvl", "--draw", str(drawing))
    assert code == 0
    pixels = np.asarray(Image.open(drawing).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 100)
    blue = (pixels[..., 2] > 150) & (pixels[..., 0] < 60)
    # Columns of panels: native, none at the low tier, medium, high.
    panels = [slice(170 + index * 204, 170 + index * 204 + 190) for index in range(4)]
    assert [bool(red[:, panel].any()) for panel in panels] == [True, False, True, True]
    assert [bool(blue[:, panel].any()) for panel in panels] == [True, False, True, True]
    # 3 x 4 crops natively: five upright lines two pixels wide cross the picture's middle.
    middle = red[46 + 20, panels[0]]
    assert (np.diff(middle.astype(int)) == 1).sum() + middle[0] == 5


def test_a_size_alone_can_be_drawn(tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.png"
    code, _, _ = tokens("5x1000", "--family", "qwen3_vl", "--draw", str(drawing))
    assert code == 0
    assert Image.open(drawing).width > 900


@pytest.mark.whole
def test_the_script_runs_it() -> None:
    script = Path(__file__).parents[2] / "tokens.py"
    run = subprocess.run(
        [sys.executable, str(script), "336x336", "--family", "idefics3"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2873" in run.stdout


@pytest.mark.whole
def test_the_page_shows_what_the_command_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")
    shown = [block for block in page.split("```\n") if block.startswith("$ tierexp tokens ")]
    assert len(shown) == 5
    for block in shown:
        command, _, printed = block.partition("\n")
        assert tokens(*command.split()[3:]) == (0, printed, "")
