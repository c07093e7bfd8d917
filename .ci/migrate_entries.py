"""Rewrites the published entries from result schema 1 to 2, once. No number, key, digest or image changes.

    python .ci/migrate_entries.py

Schema 2 says image where schema 1 said picture, non-voting judge where it said witness, and uses the parameter
names of today's methods. Tables keep every value; the column ``picture`` of the label table is now ``image``.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from evenhand.bench.parsing.strict_parquet import write_parquet
from evenhand.bench.results.entry import ENTRY_FILE, Entry, entry_name
from evenhand.bench.suites.suite import load_suite

ENTRIES = Path(__file__).parents[1] / "reports" / "entries"

PARAMETERS = {"pictures": "images", "rate": "learning_rate", "alpha": "significance_level"}
STEP_SIZE = ("mist", "uce")
"""Methods whose ``step`` is ``step_size`` now."""


def main() -> None:
    """Rewrite every entry in place."""
    digest = load_suite("mini").digest()
    for folder in sorted(path for path in ENTRIES.iterdir() if path.is_dir()):
        data = json.loads((folder / ENTRY_FILE).read_text(encoding="utf-8"))
        if data["result"]["schema_version"] != 1:
            sys.exit(f"{folder.name} has schema {data['result']['schema_version']}; nothing to do")
        verification = folder / "verification.json"
        migrate(folder, data, suite_digest=digest)
        entry = Entry.model_validate(data, strict=True)
        text = entry.to_json()
        (folder / ENTRY_FILE).write_text(text, encoding="utf-8")
        if verification.is_file():
            found = renamed(json.loads(verification.read_text(encoding="utf-8")))
            found["entry"] = hashlib.sha256(text.encode()).hexdigest()
            verification.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        target = ENTRIES / entry_name(entry.result)
        if target != folder:
            shutil.move(folder, target)
        sys.stdout.write(f"{folder.name} -> {target.name}\n")


def migrate(folder: Path, data: dict[str, Any], *, suite_digest: str) -> None:
    """The entry of schema 2, in place."""
    result = data["result"] = renamed(data["result"])
    result["schema_version"] = 2
    result["spec"]["suite_digest"] = suite_digest
    for judge in result["spec"]["judges"]:
        judge["role"] = {"witness": "non-voting"}.get(judge["role"], judge["role"])
    method = result["spec"]["method"]
    method["family"] = {"features": "activations"}.get(method["family"], method["family"])
    names = dict(PARAMETERS)
    if method["name"] in STEP_SIZE:
        names["step"] = "step_size"
    method["parameters"] = {names.get(name, name): value for name, value in method["parameters"].items()}
    method["strength"] = names.get(method["strength"], method["strength"])
    old, method["label"] = method["label"], relabelled(method["label"], names)
    if data["timing"] and data["timing"]["method"] == old:
        data["timing"]["method"] = method["label"]
    if "pictures.parquet" in data["files"]:
        (folder / "pictures.parquet").rename(folder / "images.parquet")
        labels = folder / "labels.parquet"
        table = pq.read_table(io.BytesIO(labels.read_bytes()))
        table = table.rename_columns(["image" if name == "picture" else name for name in table.column_names])
        labels.write_bytes(
            write_parquet(table.to_pandas(), {field.name: field.type for field in table.schema})
        )
        data["files"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("images.parquet", "labels.parquet")
        }


def relabelled(label: str, names: dict[str, str]) -> str:
    """The label with today's names of parameters, in order."""
    name, colon, given = label.partition(":")
    pairs = [pair.partition("=") for pair in given.split(",")] if colon else []
    return name + colon + ",".join(sorted(names.get(k, k) + eq + v for k, eq, v in pairs))


def renamed(value: Any) -> Any:
    """The value with every key and text that speaks of pictures speaking of images."""
    if isinstance(value, dict):
        return {renamed(key): renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item) for item in value]
    # Prompts of the methods stay what they are: they are what was drawn.
    if not isinstance(value, str) or re.search(r"picture of (\{|the face)|^A picture of$", value):
        return value
    value = re.sub(r"\b([Aa]) picture", r"\1n image", value)
    return value.replace("picture", "image").replace("Picture", "Image")


if __name__ == "__main__":
    main()
