"""Draws docs/assets/report.png, the image of the report in the README.

    evenhand run && python .ci/report_image.py runs/mini-quick/report.html

It shows the report's first screen and two of its charts, drawn by Chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "assets" / "report.png"
WIDTH, COLOURS = 1180, 64
"""Pixels, and colours of the image's palette, which keeps it small."""

LEFT_OUT = """
main > :not(#verdict, #figures), #figures > h2 { display: none }
.figure:not(#by-concept-gender, #cell-map), .figure details { display: none }
.verdict p:nth-of-type(n + 6):not(.muted) { display: none }
#figures { margin-top: 28px }
.figure { margin-bottom: 24px }
"""
"""What is left out of the image."""


def main(report: Path) -> None:
    """Write the image of the report at this path."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 600})
        page.goto(report.resolve().as_uri())
        page.add_style_tag(content=LEFT_OUT)
        drawn = page.screenshot(full_page=True)
        browser.close()
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(OUT, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
