from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.fakes import PlainImages
from tierexp.data.folder import FolderDataset
from tierexp.data.plan import readable_sizes
from tierexp.data.sizes import ImageSizes, read_sizes, sample_sizes
from tierexp.errors import ConfigError, DataError


def pairs(sizes: ImageSizes) -> list[list[int]]:
    assert sizes.heights.dtype == sizes.widths.dtype == np.int64
    return np.stack([sizes.heights, sizes.widths], axis=1).tolist()


def write(folder: Path, text: str, name: str = "my_sizes.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_sizes(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    text = 'width,source,height\r\n640,coco,480\r\n\r\n 17 ,"a, b",1\r\n'
    sizes = read_sizes(write(tmp_path, text))
    assert (sizes.name, pairs(sizes)) == ("my_sizes", [[480, 640], [1, 17]])
    assert sizes.unreadable == {}


def test_a_byte_order_mark_and_a_last_line_without_an_end(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeffheight, width\n480,640")
    assert pairs(read_sizes(path, name="photos")) == [[480, 640]]
    assert read_sizes(path, name="photos").name == "photos"


def test_the_first_sizes_can_be_kept_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    path = write(tmp_path, "height,width\n1,2\n3,4\n5,6\n")
    assert pairs(read_sizes(path, max_samples=2)) == [[1, 2], [3, 4]]
    path.write_text("height,width\n1,2\n3,4\n5,no\n")
    with pytest.raises(DataError, match="line 4"):
        read_sizes(path, max_samples=1)


@pytest.mark.parametrize(
    "cell",
    ["0", "-3", "640.0", "6e2", "1_000", "", "abc", "nan", "٣٢", "²", "2147483648", "9" * 5000],
)
def test_a_side_is_a_whole_number_of_pixels(tmp_path: Path, cell: str) -> None:
    message = refusal(write(tmp_path, f"height,width\n480,640\n\n480,{cell}\n"))
    assert "line 4: width is " in message
    assert cell[:40] in message
    assert len(message) < 300
    assert "line 2: height is " in refusal(write(tmp_path, f"height,width\n{cell or ' '},640\n"))


def test_the_longest_side(tmp_path: Path) -> None:
    path = write(tmp_path, "height,width\n2147483647,0002\n")
    assert pairs(read_sizes(path)) == [[2**31 - 1, 2]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("height,width\n480\n", ["line 2", "width is ''"]),
        ("heigth,width\n480,640\n", ["line 1", "no column 'height'", "heigth, width"]),
        ("height\n480\n", ["line 1", "no column 'width'"]),
        ("480,640\n", ["line 1", "no column 'height'", "480, 640"]),
        ("height,width,height\n1,2,3\n", ["line 1", "several columns 'height'"]),
        ("", ["line 1", "no column 'height'", "nothing"]),
        ("height,width\n\n", ["no sizes"]),
        ("height,width\n" + "1" * 200_000 + ",2\n", ["line 2", "malformed CSV"]),
    ],
)
def test_a_file_that_is_no_list_of_sizes(tmp_path: Path, text: str, words: list[str]) -> None:
    message = refusal(write(tmp_path, text))
    for word in words:
        assert word in message


def test_a_picture_in_place_of_a_list(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert "not UTF-8" in refusal(tmp_path / "a.png")


def test_what_is_missing_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path=.*none\.csv.*height and width"):
        read_sizes(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match=r"data\.max_samples=0"):
        read_sizes(tmp_path, max_samples=0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "holiday_photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "folder.jpg").mkdir()
    Image.new("RGB", (40, 30)).save(folder / "b.PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed turned by 90 degrees
    Image.new("RGB", (40, 30)).save(folder / "deep" / "turned.jpg", exif=exif)
    (folder / "broken.gif").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


def test_the_images_of_a_folder_as_displayed(photos: Path) -> None:
    sizes = read_sizes(photos)
    assert (sizes.name, pairs(sizes)) == ("holiday_photos", [[30, 40], [40, 30]])
    assert list(sizes.unreadable) == ["broken.gif"]
    assert "not an image" in sizes.unreadable["broken.gif"]
    assert pairs(read_sizes(photos, max_samples=1)) == [[30, 40]]


def test_headers_suffice(photos: Path) -> None:
    whole = (photos / "b.PNG").read_bytes()
    (photos / "b.PNG").write_bytes(whole[: len(whole) // 2])
    assert pairs(read_sizes(photos)) == [[30, 40], [40, 30]]


def test_a_folder_without_images(photos: Path) -> None:
    assert "no images" in refusal(photos / "folder.jpg")


def test_questions_have_the_size_of_their_image(photos: Path) -> None:
    lines = [
        f'{{"id": "{name}", "image": "{image}", "question": "?", "answers": ["!"]}}'
        for name, image in [("x", "b.PNG"), ("y", "broken.gif"), ("z", "b.PNG")]
    ]
    path = write(photos, "\n".join(lines), "asked.jsonl")
    sizes = sample_sizes(FolderDataset(path))
    assert (sizes.name, pairs(sizes)) == ("asked", [[30, 40], [30, 40]])
    assert list(sizes.unreadable) == ["y"]


def test_each_image_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, '[[[3, 4], "a", ["b"], "t"], [[3, 4], "c", ["d"], "t"]]', "s.json")
    asked: list[int] = []

    class OneImage(PlainImages):
        def image_key(self, index: int) -> str:
            return "the only one"

        def image_size(self, index: int) -> tuple[int, int]:
            asked.append(index)
            return super().image_size(index)

    assert pairs(sample_sizes(OneImage(str(path)))) == [[3, 4], [3, 4]]
    assert asked == [0]


def test_sizes_of_questions_are_read_once_for_all_who_ask(tmp_path: Path) -> None:
    path = write(tmp_path, '[[[3, 4], "a", ["b"], "t"]]', "s.json")
    asked: list[int] = []

    class Counting(PlainImages):
        def image_size(self, index: int) -> tuple[int, int]:
            asked.append(index)
            return super().image_size(index)

    class WithoutHash(Counting):
        __hash__ = None  # type: ignore[assignment]

    first, other = Counting(str(path)), Counting(str(path))
    assert readable_sizes(first) == readable_sizes(first) == ({0: (3, 4)}, {})
    assert asked == [0]
    readable_sizes(other)
    assert asked == [0, 0]
    assert readable_sizes(WithoutHash(str(path))) == ({0: (3, 4)}, {})


def test_a_folder_says_what_it_passed_over(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tierexp"):
        read_sizes(photos)
    assert caplog.messages == [f"{photos}: 3 images; passed over 1: 1 not images (.txt 1)"]


def test_a_folder_of_other_files_says_so(photos: Path) -> None:
    (photos / "folder.jpg" / "a.txt").write_text("a")
    (photos / "folder.jpg" / "b.json").write_text("{}")
    message = refusal(photos / "folder.jpg")
    assert "no images in this folder; passed over 2: 2 not images (.json 1, .txt 1)" in message
