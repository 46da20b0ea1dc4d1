"""`tierexp tokens PHOTO_OR_SIZE...` (`python tokens.py`): what an image costs in every family."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierexp.config.refusal import OneLineParser, refusing
from tierexp.errors import ConfigError
from tierexp.imaging.decode import decode_image, read_image_size
from tierexp.models.plans.plan import MAX_SIDE, Preset, Size
from tierexp.models.plans.policies import TokenRow, token_rows
from tierexp.models.plans.registry import preset, presets
from tierexp.report.tokens_drawing import draw_rows, stand_in
from tierexp.report.tokens_table import as_csv, as_json, as_table
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

_SIZE = re.compile(r"(\d{1,10})[xX\u00d7](\d{1,10})", re.ASCII)
_TIERS = ("low", "medium", "high")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what images cost, and draw how they are tiled.

    Args:
        arguments: Arguments of the command line; None for those of this process.

    Raises:
        SystemExit: With code 2 after one line about what cannot work, 1 after one about a full
            disk and the like.
    """
    with refusing():
        parsed = _parser().parse_args(arguments)
        chosen = _families(parsed.family)
        tiers = [_tier(name) for name in parsed.tier]
        sizes = [_size(given) for given in parsed.images]
        if parsed.draw is not None and len(sizes) != 1:
            raise ConfigError("--draw", str(parsed.draw), "one photo or size at a time")
        tables = [token_rows(size, chosen.values(), tiers) for size in sizes]
        if parsed.draw is not None:
            _draw(parsed.draw, parsed.images[0], sizes[0], tables[0], chosen)
        rows = [row for table in tables for row in table]
        if parsed.json:
            sys.stdout.write(f"{as_json(rows)}\n")
        elif parsed.csv:
            sys.stdout.write(as_csv(rows))
        else:
            _print_tables(parsed.images, sizes, tables)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="tokens",
        description="What an image costs in families of vision-language models: grid (rows x "
        "columns of crops or cells), vision tokens, mismatch of aspect ratios and the share of the "
        "image kept, under each family's own rule and under tiers. No model is loaded.",
    )
    parser.add_argument(
        "images", nargs="+", metavar="PHOTO_OR_SIZE",
        help="an image file, or a size such as 640x480 (width x height)",
    )  # fmt: skip
    parser.add_argument(
        "--family", action="append", metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument(
        "--tier", nargs="+", default=_TIERS, metavar="NAME",
        help="tiers beside the native rule (default: low medium high); a .yaml file will do",
    )  # fmt: skip
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    shown.add_argument("--csv", action="store_true", help="CSV instead of a table")
    parser.add_argument(
        "--draw", type=Path, metavar="FILE", help="a picture of the tilings side by side"
    )
    return parser


def _families(names: Sequence[str] | None) -> dict[str, Preset]:
    return presets() if names is None else {name: preset(name) for name in names}


def _tier(name: str) -> Tier:
    tier = load_tier(name, key="--tier")
    if not isinstance(tier, Tier):
        raise ConfigError("--tier", name, "a tier; every family's own rule is shown anyway")
    return tier


def _size(given: str) -> Size:
    """(height, width) in pixels."""
    written = _SIZE.fullmatch(given)
    if written is None:
        if not Path(given).is_file():
            expected = "an existing image file, or a size such as 640x480 (width x height)"
            raise ConfigError("PHOTO_OR_SIZE", given, expected)
        return read_image_size(Path(given))
    width, height = int(written[1]), int(written[2])
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ConfigError("PHOTO_OR_SIZE", given, f"sides of 1 to {MAX_SIDE} pixels")
    return height, width


def _draw(
    target: Path, given: str, size: Size, rows: Sequence[TokenRow], chosen: dict[str, Preset]
) -> None:
    if not target.parent.is_dir():
        raise ConfigError("--draw", str(target), f"{target.parent} is not a folder")
    try:
        draw_rows(_picture(given, size), rows, chosen).save(target)
    except ValueError as error:  # Pillow's answer to a suffix that it does not know
        raise ConfigError("--draw", str(target), f"a .png or .jpg file ({error})") from None


def _picture(given: str, size: Size) -> NDArray[np.uint8]:
    return stand_in(size) if _SIZE.fullmatch(given) else decode_image(Path(given))


def _print_tables(
    given: Sequence[str], sizes: Sequence[Size], tables: Sequence[Sequence[TokenRow]]
) -> None:
    for name, (height, width), rows in zip(given, sizes, tables, strict=True):
        title = f"{width} x {height}" if _SIZE.fullmatch(name) else f"{name}, {width} x {height}"
        sys.stdout.write(
            f"{title}: grid (rows x columns), vision tokens, mismatch, image kept\n"
            f"{as_table(rows)}\n"
        )
