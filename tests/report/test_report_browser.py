"""The report in a real browser: on a phone and on a desk, in light and in the dark.

Needs a Chromium on the machine (Debian: `apt-get install chromium`); without one the tests say so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from tests.support.sweeps import sweep
from tierexp.report.page import write_report
from tierexp.report.tiling_figure import draw_tiling

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

PHONE, DESK = (390, 844), (1280, 900)
LIGHT, DARK = "1", "0"
PROBE = """<script>addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const style = (what) => getComputedStyle(document.querySelector(what));
  const seen = {
    width: document.documentElement.scrollWidth, window: innerWidth,
    paper: style("body").backgroundColor, ink: style("body").color,
    figureInk: style("figure svg").color,
    figures: all(".figures svg").map(svg => svg.getBoundingClientRect().width),
    images: all("img").map(image => image.naturalWidth),
    columns: style(".figures").gridTemplateColumns.split(" ").length,
  };
  parent.postMessage(JSON.stringify(seen), "*");
});</script>"""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
# A window of Chromium is at least 500 pixels wide; a frame in it can be as narrow as a phone.
FRAME = """<!doctype html><script>addEventListener("message", event => {{
  const note = document.createElement("pre");
  note.id = "seen";
  note.textContent = event.data;
  document.body.append(note);
}});</script>
<body><iframe src="{page}" style="width:{width}px; height:{height}px; border:0"></iframe>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with patch.object(draw_tiling, "__defaults__", (512, 2)):  # as large as users see them
        return write_report(sweep(tmp_path_factory.mktemp("browser")))


def browse(page: Path, size: tuple[int, int], scheme: str, *more: str) -> str:
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-dev-shm-usage", f"--user-data-dir={page.parent / 'profile'}",
            # Nothing outside the file can be reached.
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--window-size={size[0]},{size[1]}",
            f"--blink-settings=preferredColorScheme={scheme}", *more, page.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def seen(page: Path, size: tuple[int, int], scheme: str, probe: str = PROBE) -> dict[str, Any]:
    """What the page measures of itself."""
    probed = page.with_name("probed.html")
    text, policies = POLICY.subn("", page.read_text("utf-8"))
    assert policies == 1  # it would keep the probe from running, as it should
    probed.write_text(text.replace("</body>", f"{probe}</body>"), "utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.format(page=probed.name, width=size[0], height=size[1]), "utf-8")
    match = re.search(r'<pre id="seen">(.*?)</pre>', browse(frame, DESK, scheme, "--dump-dom"))
    assert match is not None
    found: dict[str, Any] = json.loads(match[1].replace("&amp;", "&"))
    return found


def brightness(color: str) -> float:
    return sum(int(part) for part in re.findall(r"\d+", color)[:3]) / 3


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_the_page_fits_its_window_and_its_colours(
    page: Path, size: tuple[int, int], scheme: str
) -> None:
    found = seen(page, size, scheme)
    # Wide tables scroll inside; the page does not.
    assert found["window"] == size[0]
    assert found["width"] <= found["window"]
    assert found["columns"] == (1 if size == PHONE else 2)
    assert min(found["figures"]) > 250
    assert found["images"]
    assert min(found["images"]) > 0
    paper, ink = brightness(found["paper"]), brightness(found["ink"])
    assert (paper > 200 > 100 > ink) if scheme == LIGHT else (paper < 50 < 150 < ink)
    assert found["figureInk"] == found["ink"]


def test_the_page_s_policy_lets_nothing_run(page: Path) -> None:
    """The probe, in a page that keeps its policy, is not heard of; without it, it is."""
    probed = page.with_name("policed.html")
    script = '<script>document.title = "ran"</script></body>'
    probed.write_text(page.read_text("utf-8").replace("</body>", script), "utf-8")
    assert "<title>ran" not in browse(probed, DESK, LIGHT, "--dump-dom")
    probed.write_text(POLICY.sub("", probed.read_text("utf-8")), "utf-8")
    assert "<title>ran" in browse(probed, DESK, LIGHT, "--dump-dom")


ENLARGE = """<script>addEventListener("load", () => {
  const picture = document.querySelector("details.picture");
  const box = () => { const {width, height} = picture.querySelector("img").getBoundingClientRect();
    return [width, height]; };
  const seen = {window: [innerWidth, innerHeight], before: box()};
  picture.querySelector("summary").click();
  seen.after = box();
  const middle = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
  seen.onTop = picture.contains(middle);
  middle.click();
  seen.closed = box();
  parent.postMessage(JSON.stringify(seen), "*");
});</script>"""


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_a_click_enlarges_a_picture_and_another_one_closes_it(
    page: Path, size: tuple[int, int]
) -> None:
    found = seen(page, size, LIGHT, ENLARGE)
    assert found["window"] == list(size)
    for side in (0, 1):
        assert found["after"][side] <= size[side]
    # As large as the window lets it be, but for a margin.
    grown = max(after / whole for after, whole in zip(found["after"], size, strict=True))
    assert 0.9 < grown <= 1
    assert found["after"][0] > found["before"][0]
    assert found["onTop"]
    assert found["closed"] == found["before"]


def test_what_is_painted_is_light_or_dark(page: Path) -> None:
    shares = {}
    for scheme in (LIGHT, DARK):
        shot = page.with_name(f"shot-{scheme}.png")
        browse(page, PHONE, scheme, f"--screenshot={shot}")
        pixels = np.asarray(Image.open(shot).convert("L"))
        shares[scheme] = float((pixels > 128).mean())
    assert shares[LIGHT] > 0.8
    assert shares[DARK] < 0.2
