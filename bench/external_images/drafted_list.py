"""Drafts an image list for a folder without one: prompts from metadata and captions, concepts from names."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.image_files import SUFFIXES
from evenhand.bench.external_images.prompt_metadata import Written, written_prompt
from evenhand.bench.results.text import plural

_DEPICTED = re.compile(
    r"\b(?:photo|photograph|picture|portrait|image|headshot|face)s? of (?:the face of )?(?:an?|the) "
    r"([\w' -]+)",
    re.IGNORECASE,
)
"""What a prompt such as "a photo of a nurse, 35 mm" asks for, up to the first comma or full stop."""

_TRAILING = re.compile(r"\b(?:in|at|on|with|wearing|who|from|by|standing|smiling)\b.*", re.IGNORECASE)

_NUMBER = re.compile(r"[\s_-]*\(?\d*\)?$")
"""The number at the end of a file's name."""


DRAFT_FILE = "prompts.csv"
"""Name of a drafted list in the folder of the run."""

COLUMNS = ("file", "prompt", "concept")


@dataclass(frozen=True)
class Draft:
    """A drafted list.

    Attributes:
        text: The list as CSV.
        note: Where its prompts and concepts come from, in one line.
    """

    text: str
    note: str


def draft_list(folder: Path, *, without: Path) -> Draft:
    """A list of all images of a folder.

    The prompt is the one in the file's metadata, or the first line of a caption beside it, else the concept.
    The concept is what the prompt depicts, if it has the form "a photo of a nurse", else the image's
    subfolder, else the file's name without its number.

    Args:
        folder: The folder.
        without: A folder whose images are left out: that of the run.

    Raises:
        EvenhandError: The folder has no images.
    """
    files = images_in(folder, without=without)
    if not files:
        raise EvenhandError(f"{folder}: no PNG, JPEG or WebP images found; check the path")
    found = [(file, written_prompt(folder / file)) for file in files]
    concepts: dict[str, str] = {}
    buffer = io.StringIO()
    sheet = csv.writer(buffer, lineterminator="\n")
    sheet.writerow(COLUMNS)
    for file, written in found:
        prompt, concept = _described(file, written)
        # One prompt has one concept, whatever folders its images are in.
        sheet.writerow((file, prompt, concepts.setdefault(prompt, concept)))
    return Draft(buffer.getvalue(), _note([written for _, written in found]))


def images_in(folder: Path, *, without: Path) -> list[str]:
    """Paths of a folder's images, relative to it and sorted, except hidden ones and those in ``without``.

    Raises:
        EvenhandError: The name of an image is not UTF-8, so that no list can have it.
    """
    try:
        own = without.resolve()
    except (OSError, RuntimeError, ValueError):  # such a folder cannot exist, so no image is in it
        own = without
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in found
        if not _is_hidden(path.relative_to(folder)) and path.is_file() and own not in path.resolve().parents
    )
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise EvenhandError(f"{folder}: file name {name!r} is not UTF-8; rename it")
    return names


def _is_hidden(path: Path) -> bool:
    """Whether a file or one of its folders is hidden, as thumbnails and the notes of other systems are."""
    return any(part.startswith(".") for part in path.parts)


def _described(file: str, written: Written | None) -> tuple[str, str]:
    """Prompt and concept of an image."""
    depicted = _DEPICTED.search(written.prompt) if written else None
    concept = _TRAILING.sub("", depicted[1]).strip(" -'") if depicted else ""
    if not concept:
        path = Path(file)
        stem = _NUMBER.sub("", path.stem)
        concept = path.parent.name or stem or "person"
    concept = " ".join(re.sub(r"[_\W]+", " ", concept).split()) or "person"
    return (written.prompt if written else concept), concept


def _note(found: Sequence[Written | None]) -> str:
    sources = Counter(one.source if one else "names" for one in found)
    words = {
        "metadata": "from the metadata of the files",
        "caption": "from captions beside them",
        "names": "guessed from names of files or folders",
    }
    parts = [f"{plural(sources[name], 'prompt')} {text}" for name, text in words.items() if sources[name]]
    models = {one.model for one in found if one and one.model}
    several = f"; the metadata name {len(models)} models, which are audited as one" if len(models) > 1 else ""
    return f"no image list was given, so one was drafted: {', '.join(parts)}{several}"
