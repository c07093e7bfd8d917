"""Draws docs/assets/report.png, the image of the report in the README.

    evenhand run && python .ci/report_image.py runs/mini-quick/report.html

It shows the report's first screen as Chromium draws it, whole and unedited, in 256 colours.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "assets" / "report.png"
WIDTH, HEIGHT = 1440, 900
"""The first screen of a desktop in pixels."""


def main(report: Path) -> None:
    """Write the image of the report at this path."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.resolve().as_uri())
        page.screenshot(path=OUT)
        browser.close()
    with Image.open(OUT) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(OUT, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
