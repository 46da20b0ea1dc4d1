"""Tables as they are published, made on the spot."""

from __future__ import annotations

import io
from typing import Any

import datasets
from datasets import Features, Image, List, Value
from PIL import Image as Pillow


def picture(width: int = 6, height: int = 4, colour: str = "red") -> dict[str, Any]:
    """An image as it lies in published parquet files: its bytes, and a name that means nothing."""
    file = io.BytesIO()
    Pillow.new("RGB", (width, height), colour).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": f"/no/such/{colour}.png"}


FEATURES = {
    "id": Value("string"), "question": Value("string"), "answers": List(Value("string")),
    "image": Image(),
}  # fmt: skip


COLUMNS = {"question": "question", "answers": "answers", "image": "image", "id": "id"}


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"q{n}", "question": f"{n}?", "answers": [str(n)], "image": picture(n + 1), **fields}
        for n in range(count)
    ]


def table(count: int, **fields: Any) -> datasets.Dataset:
    return datasets.Dataset.from_list(rows(count, **fields), features=Features(FEATURES))
