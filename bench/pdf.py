"""A report as PDF: printed by a Chromium without a window, with everything unfolded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.storage.files import write_atomically

PDF_FILE = "report.pdf"

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
"""Names of browsers that can print to PDF."""

LONGEST = 300
"""Seconds that printing may take."""

FOLDED = re.compile("<details(?! open)")
"""Whatever is folded on the screen."""


def installed_browser() -> str | None:
    """The path of the first of :data:`BROWSERS` on this machine; ``None`` without any."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def write_pdf(report: Path) -> Path:
    """Print a report to ``report.pdf`` beside it.

    The PDF holds the date of printing, so its bytes differ each time.

    Args:
        report: The HTML page.

    Returns:
        The path of the PDF.

    Raises:
        EvenhandError: There is no Chromium, or it cannot print the page.
    """
    browser = installed_browser()
    if browser is None:
        raise EvenhandError(
            f"no Chromium or Chrome to print the PDF; install one, or print {report} in a browser"
        )
    page = FOLDED.sub("<details open", report.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, encoding="utf-8")
        _print(browser, source, target)
        printed = report.with_name(PDF_FILE)
        write_atomically(printed, target.read_bytes())
    return printed


def _print(browser: str, source: Path, target: Path) -> None:
    """Let the browser print; a root user needs it without its sandbox, which only shows our own page."""
    options = ["--headless", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    options += ["--no-sandbox"] if os.geteuid() == 0 else []
    profile = f"--user-data-dir={source.parent / 'profile'}"
    command = [browser, *options, profile, f"--print-to-pdf={target}", source.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise EvenhandError(f"{browser} cannot print the report ({fault}); print it in a browser") from fault
    if done.returncode or not target.is_file():
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EvenhandError(f"{browser} cannot print the report ({reason}); print it in a browser")
