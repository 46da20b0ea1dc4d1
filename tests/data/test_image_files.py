"""Which files of a folder are images, and what is said of the others."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tierexp.data.image_files import FoundImages, find_images


def picture(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3)).save(file, form)
    return file.getvalue()


def names(found: FoundImages, folder: Path) -> list[str]:
    return [str(image.relative_to(folder)) for image in found.images]


def test_images_are_found_by_name_and_by_content(tmp_path: Path) -> None:
    jpeg = picture("JPEG")
    for name in ("a.jfif", "b.jpe", "c.mpo", "d.JPG", "no_suffix", "saved.download"):
        (tmp_path / name).write_bytes(jpeg)
    (tmp_path / "scan").write_bytes(picture("TIFF"))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")  # to be reported as unreadable
    found = find_images(tmp_path)
    expected = ["a.jfif", "b.jpe", "broken.jpg", "c.mpo", "d.JPG", "no_suffix", "saved.download"]
    assert names(found, tmp_path) == [*expected, "scan"]
    assert found.passed_over == {}
    assert found.passed_over_in_words() == ""


def test_every_file_that_is_passed_over_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("PNG"))
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    for number, suffix in enumerate([".txt", ".txt", ".json", ".csv", ".md", ".html", ".TXT", ""]):
        (tmp_path / f"{number}{suffix}").write_text("text")
    (tmp_path / "raw.nef").write_bytes(picture("TIFF"))
    (tmp_path / "gone.png").symlink_to(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = find_images(tmp_path)
    assert names(found, tmp_path) == ["a.png"]
    words = found.passed_over_in_words()
    assert words.startswith(
        "; passed over 12: 9 not images (.txt 3, .csv 1, .html 1, .json 1, others 3), "
    )
    for reason in ("1 companion files", "1 links that lead nowhere", "1 neither a file"):
        assert reason in words
    assert sum(found.passed_over.values()) == 12


def test_linked_folders_are_followed_and_none_twice(tmp_path: Path) -> None:
    """A link that leads up, two links to one folder, and one beside the folder itself."""
    inside, outside = tmp_path / "set", tmp_path / "elsewhere"
    (inside / "zoo").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "zoo" / "a.png", outside / "b.png"):
        path.write_bytes(picture("PNG"))
    (inside / "alias_of_zoo").symlink_to("zoo")
    (inside / "up").symlink_to("..")
    (inside / "far").symlink_to(outside)
    (inside / "farther").symlink_to(outside)
    (inside / "same.png").symlink_to(outside / "b.png")
    found = find_images(inside)
    assert names(found, inside) == ["far/b.png", "same.png", "zoo/a.png"]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_counted(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "closed").write_bytes(picture("PNG"))
    (tmp_path / "closed").chmod(0)
    assert find_images(tmp_path).passed_over == {"not readable": 1, "folders not readable": 1}
