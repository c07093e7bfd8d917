"""Readers of untrusted files, and makers of random cases that try to hang, flood or crash them."""

import io
import json
import os
import shutil
from contextlib import redirect_stderr, redirect_stdout
from functools import cache

import numpy as np
from helpers.fuzz import ODD_WORDS, json_mutants, mutants
from helpers.hostile import NOT_FILES, replace
from helpers.paths import ROOT, TINY
from PIL import Image

from evenhand.bench.cli.main import main
from evenhand.bench.errors import EvenhandError
from evenhand.bench.external_images.image_files import UnusableImageError, decode
from evenhand.bench.fetching.planned_images import plan
from evenhand.bench.leaderboard.entries import load_entry
from evenhand.bench.models.loading import load_model
from evenhand.bench.prompts.prompt_set import load_prompt_set
from evenhand.bench.results.result import Result
from evenhand.bench.results.tuning import read_tuning
from evenhand.bench.stages.resources import load_confusion
from evenhand.bench.storage.files import locked
from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.storage.stored_run import load_run
from evenhand.bench.storage.title_block import read_title_block
from evenhand.bench.suites.audit_config import read_audit
from evenhand.bench.suites.suite import read_suite
from evenhand.bench.suites.targets import read_table
from evenhand.metrics.annotation.readers import read_answers
from evenhand.reports.components.image_file import read_image

ENTRY = ROOT / "reports" / "entries" / "uce@mini-v1"

READERS = {
    "suite.toml": read_suite,
    "audit.toml": read_audit,
    "title-block.toml": read_title_block,
    "prompts.csv": load_prompt_set,
    "target.csv": read_table,
    "target.json": read_table,
    "confusion.csv": lambda path: load_confusion(str(path)),
    "answers.csv": read_answers,
    "result.json": Result.load,
    "record.json": read_tuning,
    "image.png": lambda path: read_image(path, folder=path.parent),
}
"""File names to readers that refuse what cannot be read."""


def used(folder):
    """Open the folder as a command does that writes: lock, log, timings, index, tables, results."""
    work = RunFolder(folder)
    with locked(folder), work.session("a test"):
        work.spend("judge_seconds", "base", 1.0, machine="a")
        keys = [f"{number:064x}" for number in range(3)]
        work.images.remember(dict.fromkeys(keys, "ok"))
        work.labels.finish(work.labels.read())
        work.imported_anchors()
    return load_run(folder)


def odd_text(rng):
    """A word that has broken parsers, or much of one character."""
    if rng.random() < 0.6:
        return rng.choice(ODD_WORDS)
    letters = ("[", "{", "'", '"', ".", "\\u002e", "a=1,", "\u202e", "\ud7ff", "\0", "9", " ", "-")
    return rng.choice(letters) * rng.choice((1, 50, 3000, 100_000))


def a_suite(rng, folder):
    """A suite that is damaged, or has one value replaced by something odd or repeated many times."""
    if rng.random() < 0.4:
        data = next(mutants(TINY.read_bytes(), count=1, seed=rng.randrange(2**32)))
    else:
        lines = TINY.read_text().splitlines()
        place = rng.choice([number for number, line in enumerate(lines) if " = " in line])
        key, _, value = lines[place].partition(" = ")
        many = value.strip("[]") + ","
        odd = (
            json.dumps(odd_text(rng)),
            f"[{json.dumps(odd_text(rng))}]",
            f"[{many * rng.choice((2, 40, 5000))}]",
            rng.choice(("inf", "-1", "9" * 40, "1e400", "1979-05-27", "[[]]", "{a.b.c = 1}", "true")),
        )
        lines[place] = f"{key} = {rng.choice(odd)}"
        data = "\n".join(lines).encode(errors="replace")
    path = folder / "suite.toml"
    path.write_bytes(data)
    return lambda: plan(str(path))


TABLES = {
    "prompts.csv": (
        b"prompt,concept,template,kind,cell,seeds\na nurse,nurse,t,neutral,,1;2\n",
        load_prompt_set,
    ),
    "target.csv": (b"concept,attribute,group,share\n*,gender,woman,0.5\n*,gender,man,0.5\n", read_table),
    "confusion.csv": (b"judge,attributes,truth,label,count\nv,g,a,b,3\n", READERS["confusion.csv"]),
    "answers.csv": (b"image_id,annotator_id,attribute,label\nk0,ann,gender,woman\n", read_answers),
}


def a_table(rng, folder):
    """A CSV that is damaged, repeated, has an odd cell, or is no file."""
    name = rng.choice(list(TABLES))
    data, read = TABLES[name]
    path = folder / name
    change = rng.random()
    if change < 0.15:
        replace(path, NOT_FILES[rng.choice(list(NOT_FILES))])
        return lambda: read(path)
    if change < 0.3:
        data += data.partition(b"\n")[2] * rng.choice((2, 100, 2000))
    elif change < 0.6:
        cells = data.split(b",")
        cells[rng.randrange(len(cells))] = odd_text(rng).encode(errors="replace")
        data = b",".join(cells)
    else:
        data = next(mutants(data, count=1, seed=rng.randrange(2**32)))
    path.write_bytes(data)
    return lambda: read(path)


def an_entry(rng, folder):
    """A leaderboard entry with damaged members, bytes or files."""
    entry = shutil.copytree(ENTRY, folder / ENTRY.name)
    path = entry / rng.choice(["entry.json", "images.parquet", "labels.parquet"])
    change = rng.random()
    if change < 0.2:
        replace(path, NOT_FILES[rng.choice(list(NOT_FILES))])
    elif change < 0.6 or path.suffix != ".json":
        path.write_bytes(next(mutants(path.read_bytes(), count=1, seed=rng.randrange(2**32))))
    else:
        value = json.loads(path.read_text())
        path.write_text(json.dumps(next(json_mutants(value, count=1, seed=rng.randrange(2**32)))))
    return lambda: load_entry(entry)


def a_run_folder(rng, folder, finished):
    """A run folder of which one file is damaged, another file, or no file."""
    run = shutil.copytree(finished, folder / "run")
    files = sorted(path for path in run.rglob("*") if path.is_file() and path.suffix != ".png")
    path, change = rng.choice(files), rng.random()
    if change < 0.3:
        replace(path, NOT_FILES[rng.choice(list(NOT_FILES))])
    elif change < 0.5:
        other = rng.choice(files)
        replace(path, lambda place: place.symlink_to(other))
    elif path.suffix == ".json" and change < 0.8:
        value = json.loads(path.read_text())
        path.write_text(json.dumps(next(json_mutants(value, count=1, seed=rng.randrange(2**32)))))
    else:
        path.write_bytes(next(mutants(path.read_bytes(), count=1, seed=rng.randrange(2**32))))
    return lambda: used(run) if rng.random() < 0.5 else load_run(run)


def code_of(words):
    """The exit code of a command line; must be 0, or 2 after one line on standard error."""
    told = io.StringIO()
    with redirect_stderr(told), redirect_stdout(io.StringIO()):
        try:
            main(words)
        except SystemExit as stop:
            code = stop.code
    last = told.getvalue().splitlines()[-1:]
    assert code == 0 or (code == 2 and last[0].startswith("evenhand: ") and len(last[0]) < 1500), (
        told.getvalue()
    )
    return code


def a_command_line(rng, folder):
    """A dry run with odd words in place of the suite, methods and numbers."""
    words = [word for word in ("run", "--dry-run", "--json") if word != "--json" or rng.random() < 0.3]
    words.insert(1, rng.choice((str(TINY), "mini-quick", odd_text(rng)[:100_000])))
    for option in ("--method", "--limit", "--fits", "--engine", "--out"):
        if rng.random() < 0.5:
            names = (
                "base",
                f"mist:step_size={odd_text(rng)}",
                f"{odd_text(rng)}:a=1",
                str(rng.randint(-9, 99)),
            )
            words += [option, rng.choice(names)]

    return lambda: code_of(words)


def images():
    """One image in many formats, by name."""
    rng = np.random.default_rng(3)
    colours = Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    forms = {
        "rgb.png": (colours, "PNG", {}),
        "interlaced palette.png": (colours.quantize(16), "PNG", {"transparency": 3}),
        "sixteen bits.png": (Image.fromarray(np.full((24, 20), 40_000, np.uint16)), "PNG", {}),
        "one bit.png": (colours.convert("1"), "PNG", {}),
        "rotated.jpg": (colours, "JPEG", {"exif": exif}),
        "progressive.jpg": (colours, "JPEG", {"progressive": True}),
        "cmyk.jpg": (colours.convert("CMYK"), "JPEG", {}),
        "clear.webp": (colours.convert("RGBA"), "WEBP", {"lossless": True}),
        "moving.webp": (colours, "WEBP", {"save_all": True, "append_images": [colours.rotate(90)]}),
        "moving.png": (colours, "PNG", {"save_all": True, "append_images": [colours.rotate(90)]}),
    }
    for name, (image, kind, options) in forms.items():
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        yield name, buffer.getvalue()


STATUSES = ("no_image", "damaged", "bad_size", "animated", "unknown_colours")
"""Why an image file cannot be used."""


@cache
def image_files():
    """The files of :func:`images`."""
    return [data for _, data in images()]


def an_image(rng, folder):
    """A damaged image file in one of many formats, or two halves of different files."""
    data, other = rng.sample(image_files(), 2)
    if rng.random() < 0.2:
        data = data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    else:
        data = next(mutants(data, count=1, seed=rng.randrange(2**32)))
    return lambda: decoded(data)


def decoded(data):
    """The pixels of an image file, of a size that a judge can take."""
    try:
        found = decode(data)
    except UnusableImageError as fault:
        assert fault.status in STATUSES
        raise EvenhandError(str(fault)) from fault
    assert found.dtype == np.uint8 and found.shape[2] == 3 and found.size < 10**7
    return found


CONFIGS = (
    *("model_index.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"),
    *("scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json"),
)
"""The configurations of a pipeline of Stable Diffusion."""


def a_model_folder(rng, folder, model):
    """A model folder of which one file is damaged, another file, or no file."""
    copy = shutil.copytree(model, folder / "model", copy_function=os.link)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    path, change = rng.choice([copy / name for name in CONFIGS] + files), rng.random()
    data = path.read_bytes()
    path.unlink()
    if change < 0.2:
        # Not a sparse or an endless file: weights may be large, and are hashed.
        replace(path, NOT_FILES[rng.choice(("folder", "fifo", "loop"))])
    elif change < 0.3:
        path.symlink_to(rng.choice(files))
    elif path.suffix == ".json" and change < 0.7:
        path.write_text(json.dumps(next(json_mutants(json.loads(data), count=1, seed=rng.randrange(2**32)))))
    else:
        # Of weights only the head, which has names, shapes and offsets.
        head, rest = data[:4000], data[4000:]
        path.write_bytes(next(mutants(head, count=1, seed=rng.randrange(2**32))) + rest)
    return lambda: load_model(str(copy))


FAMILIES = {
    "suite": a_suite,
    "table": a_table,
    "entry": an_entry,
    "run": a_run_folder,
    "image": an_image,
    "model": a_model_folder,
    "command line": a_command_line,
}

CASES = {
    "suite": 2500,
    "table": 2400,
    "entry": 250,
    "run": 80,
    "image": 4660,
    "model": 50,
    "command line": 60,
}
"""Number of random cases of each family in the slow tests; docs/reliability.md states their sum."""
