"""The settings of an audit: ``RUN/audit.toml``, the counterpart of a suite."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from evenhand.bench.errors import EvenhandError, unknown
from evenhand.bench.parsing.strict_toml import read_toml
from evenhand.bench.registry.judge_spec import judge_name, load_judge
from evenhand.bench.suites.audit_suite import knowing, load_audit_suite, restricted
from evenhand.bench.suites.evaluation_config import Bootstrap, EvaluationConfig
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics.taxonomies import distinct


class Audit(EvaluationConfig):
    """An audit of external images.

    Attributes:
        name: Name of the audit.
        suite: Name and version of the suite that the settings come from; empty if judges were given.
        images: Digest of the image list.
        anchors: Digest of the anchors; empty for none.
        base: The model to compare the others with, if any.
        folder: The folder of the images, relative to that of the run; empty where it is not known.
    """

    name: str
    suite: str = ""
    images: str
    anchors: str = ""
    base: str | None = None
    folder: str = ""

    @property
    def version(self) -> str:
        """A version that distinguishes audits of the same name."""
        return self.digest()[:12]

    def digest(self) -> str:
        """SHA-256 of all settings that affect what is measured and how."""
        settings = self.model_dump(mode="json", exclude={"folder"})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def relative_folder(images: Path, run: Path) -> str:
    """The folder of the images relative to that of the run, which stays when both are moved together."""
    return Path(os.path.relpath(images.resolve(), run.resolve())).as_posix()


@dataclass(frozen=True)
class Chosen:
    """The evaluation settings of an audit.

    Attributes:
        origin: Name and version of the suite; empty without one.
        config: The settings.
        notes: What the suite could not audit, and why.
    """

    origin: str
    config: EvaluationConfig
    notes: tuple[str, ...] = ()


def evaluation_config_for(
    *,
    suite: str | None,
    judges: Sequence[str],
    calibration: str | None,
    attributes: Sequence[str] = (),
) -> Chosen:
    """The evaluation settings of a suite, or of judges.

    Args:
        suite: Name or TOML file of a suite, or of an audit suite.
        judges: Voting judges, if there is no suite.
        calibration: Confusion counts to use instead of the suite's.
        attributes: The attributes to audit; if empty, those of the suite, or of every judge the coarsest
            version of each.

    Raises:
        EvenhandError: Neither or both are given, two judges have different groups for an attribute, or an
            attribute is unknown.
    """
    if bool(suite) == bool(judges):
        raise EvenhandError(
            "an audit needs either a suite or judges; give --suite NAME, or --judge NAME for every judge"
        )
    missing: dict[str, str] = {}
    if suite is None:
        name, config = "", _of_judges(judges, attributes)
    elif (audits := load_audit_suite(suite)) is not None:
        name, (config, missing) = f"{audits.name} {audits.version}", audits.here()
    else:
        loaded = load_suite(suite)
        name, config = f"{loaded.name} {loaded.version}", EvaluationConfig.of(loaded)
    if lost := [missing[name] for name in attributes if name in missing]:
        raise EvenhandError(lost[0])
    config = restricted(config, attributes or config.attributes)
    changed = {} if calibration is None else {"calibration": calibration}
    notes = () if attributes else tuple(missing.values())
    return Chosen(name, config.model_copy(update=changed), notes)


def _of_judges(judges: Sequence[str], chosen: Sequence[str]) -> EvaluationConfig:
    """Judges with the chosen attributes, or with one version of each that they know."""
    attributes: dict[str, tuple[str, ...]] = {}
    panel = tuple(dict.fromkeys(map(judge_name, judges)))
    for name in panel:
        for attribute, groups in load_judge(name).info.taxonomies.items():
            known = attributes.setdefault(attribute, tuple(groups))
            if known != tuple(groups):
                raise EvenhandError(
                    f"judge {name!r} has the groups {list(groups)} for {attribute}, another judge has "
                    f"{list(known)}; use judges with the same groups, or audit with each one separately"
                )
    for name in chosen:
        if name not in attributes:
            raise unknown("attribute for --attribute:", name, attributes)
    wanted = chosen or distinct(attributes)
    attributes = {name: groups for name, groups in attributes.items() if name in wanted}
    single = tuple((name,) for name in attributes)
    together = distinct(attributes)
    joint = (together,) if len(together) > 1 else ()
    # An audit makes claims about the listed concepts only; a suite may claim more.
    boot = Bootstrap(resample_concepts=False)
    return EvaluationConfig(
        attributes=attributes,
        report=(*single, *joint),
        primary=single[0],
        panel=knowing(panel, attributes),
        bootstrap=boot,
    )


def read_audit(path: Path) -> Audit:
    """The audit in a run's folder.

    Raises:
        EvenhandError: The file is damaged or was changed by hand.
    """
    try:
        return Audit.model_validate(read_toml(path, what="audit file")[1])
    except ValidationError as fault:
        reason = str(fault).splitlines()[0]
        raise EvenhandError(f"{path}: audit file cannot be read ({reason}); choose another --out") from fault
