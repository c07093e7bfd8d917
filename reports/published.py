"""The published entries: files that are checked before use, and what may stand in one ranking.

Entries are data: one JSON file each, and no code is ever loaded from them.
"""

from __future__ import annotations

import json
from pathlib import Path

from evenhand.bench.errors import EvenhandError
from evenhand.bench.result import SCHEMA_VERSION, Entry, JudgeCard, Result
from evenhand.reports.words import slug


def load_entries(folder: Path) -> list[Entry]:
    """The published entries, in the order of their file names.

    Raises:
        EvenhandError: The folder is missing or holds something else, or an entry is not JSON, does not
            follow the schema, is misnamed, or repeats another's method on the same suite.
    """
    if not folder.is_dir():
        raise EvenhandError(f"entries folder {folder} does not exist; name the folder of the entries")
    entries: dict[tuple[str, str], Path] = {}
    loaded = []
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        entry = _load_entry(path)
        place = version_key(entry.result), entry.result.spec.method.label
        if place in entries:
            raise EvenhandError(f"entry {path} repeats {entries[place].name}; keep one of them")
        entries[place] = path
        loaded.append(entry)
    return loaded


def entry_name(result: Result) -> str:
    """File name of a result's entry: ``<method label>@<suite>-v<version>.json`` in plain letters."""
    spec = result.spec
    return f"{slug(spec.method.label)}@{slug(spec.suite)}-v{slug(spec.suite_version)}.json"


def version_key(result: Result) -> str:
    """What two results must share to stand in one ranking: suite, model, prompts, settings, panel."""
    spec = result.spec
    own = spec.model_dump(mode="json", exclude={"method", "judges"})
    voters = [(judge.name, judge.version) for judge in panel(result)]
    return json.dumps([own, voters], sort_keys=True)


def panel(result: Result) -> list[JudgeCard]:
    """The judges that vote, by name."""
    voters = [judge for judge in result.spec.judges if judge.role == "panel"]
    return sorted(voters, key=lambda judge: (judge.name, judge.version))


def _load_entry(path: Path) -> Entry:
    if path.suffix != ".json" or not path.is_file():
        raise EvenhandError(f"{path} is no entry; entries are .json files and nothing else")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise EvenhandError(f"entry {path} cannot be read ({fault}); write it again") from fault
    result = data.get("result") if isinstance(data, dict) else None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if version != SCHEMA_VERSION:
        raise EvenhandError(
            f"entry {path} has schema version {version}; this is {SCHEMA_VERSION}, run the suite again"
        )
    try:
        entry = Entry.model_validate(data)
    except ValueError as fault:
        raise EvenhandError(f"entry {path} is not valid: {' '.join(str(fault).split())}") from fault
    if path.name != entry_name(entry.result):
        raise EvenhandError(f"entry {path} is misnamed; rename it to {entry_name(entry.result)}")
    return entry
