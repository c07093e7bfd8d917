"""How long a gallery takes to open in Chromium, and to show a frame while it is scrolled.

``python -m evenhand.bench.benchmarks.scrolling GALLERY`` needs Playwright and a Chromium; ``large_run`` with
``--folder`` makes the gallery of a run of 100,000 images. A browser without a GPU shows at most 60 frames a
second.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evenhand.bench.pdf import installed_browser

STEPS, JUMPS = 300, 60
STEP = 120
"""Pixels of a step, about those of a mouse wheel."""

FRAMES = """async ([count, step]) => {
  const page = document.scrollingElement, times = [];
  let last = performance.now();
  return await new Promise(done => {
    function frame(now) {
      times.push(now - last);
      last = now;
      page.scrollTop = step ? page.scrollTop + step : page.scrollHeight * Math.random();
      times.length < count ? requestAnimationFrame(frame) : done(times);
    }
    requestAnimationFrame(frame);
  });
}"""


def scrolled(page: Any, *, count: int, step: int) -> str:
    """What ``count`` frames took while scrolling by ``step`` pixels, or to random places for 0."""
    times = np.array(page.evaluate(FRAMES, [count, step]))
    return f"mean {times.mean():.0f} ms, 95% {np.quantile(times, 0.95):.0f} ms, longest {times.max():.0f} ms"


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the gallery and scroll it."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description="Time the frames of a gallery while it is scrolled.")
    parser.add_argument("gallery", type=Path)
    path = parser.parse_args(arguments).gallery.resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=installed_browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        started = time.monotonic()
        page.goto(path.as_uri())
        page.locator("img").first.wait_for()
        sys.stdout.write(f"opened: {time.monotonic() - started:.2f} s\n")
        sys.stdout.write(f"steps: {scrolled(page, count=STEPS, step=STEP)}\n")
        sys.stdout.write(f"jumps: {scrolled(page, count=JUMPS, step=0)}\n")
        browser.close()


if __name__ == "__main__":
    main()
