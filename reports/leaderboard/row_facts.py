"""What a row says about its method besides measured numbers: verdict, tuning, training, fits and cost."""

from __future__ import annotations

from evenhand.bench.policy.bands import change
from evenhand.bench.policy.gates import fidelity_row
from evenhand.bench.policy.ranking import fits_text, other_bands, rank_text
from evenhand.bench.results.entry import Band, BoardRow
from evenhand.bench.results.lookup import Reading
from evenhand.bench.results.result import LossRow
from evenhand.bench.results.text import count, listing, number, plural
from evenhand.reports.components.wording import BAND_TITLES

UNKNOWN = "-"
"""What a row shows where an entry does not state a fact."""

TRACK_TITLES = {
    "one model": "One model",
    "a model per concept": "A model per concept",
    "at sampling time": "At sampling time",
    "": "Track not known",
}

TRACK_TEXTS = {
    "one model": "the user gets one set of weights for all prompts",
    "a model per concept": "the user gets a set of weights for each concept, such as an occupation",
    "at sampling time": "the model stays as it is; prompts, text states, guidance or activations change "
    "while an image is drawn",
    "": "the entries do not say what a user gets",
}
"""What a user of a method gets, by track."""


def family(row: BoardRow) -> str:
    """Where the method acts."""
    return "baseline" if row.is_base else row.result.spec.method.family


def verdict(row: BoardRow) -> str:
    """The rank within the track; without a rank, the band and the one reason."""
    if row.is_base:
        return "reference"
    if row.band == "ranked":
        return rank_text(row.track_rank)
    return row.why or BAND_TITLES[row.band].lower()


def tuned(row: BoardRow) -> str:
    """Whether the parameters were tuned on development prompts."""
    search = row.result.spec.method.search
    if search:
        return f"tuned, {plural(search.trials, 'trial')}"
    return "nothing to tune" if row.nothing_to_tune else "not tuned"


def trained(row: BoardRow) -> str:
    """Whether the training had its published length; empty for a method that trains nothing."""
    share = row.share_trained
    if share is None:
        return ""
    return "trained fully" if share >= 1 else f"trained {_percent(share)}"


def _percent(share: float) -> str:
    """A share in per cent with two significant digits: ``"0.048%"``, ``"20%"``."""
    return f"{float(f'{100 * share:.2g}'):g}%"


def fits(row: BoardRow) -> str:
    """The number of fits and the distances that they lie between, and which of them are in another band."""
    others = [f"fit in the band “{fit.band}”" for fit in other_bands(row)]
    about = f"; {plural(len(others), others[0], others[0].replace('fit', 'fits'))}" if others else ""
    return fits_text(row) + about


def luck(row: BoardRow) -> bool:
    """Whether another fit could have another distance."""
    return len(row.fits) > 1 or (row.result.fit_passes > 0 and not row.deterministic)


def another_fit(row: BoardRow) -> str:
    """What another fit would take; empty where there are several, or where it would be the same."""
    if len(row.fits) > 1 or not luck(row):
        return ""
    fitted, drawn = count(row.result.fit_passes), count(row.result.cost.images)
    return f"{fitted} U-Net passes to fit, {drawn} images to measure"


def passes(row: BoardRow) -> str:
    """U-Net passes of an image relative to the baseline's."""
    relative = 1.0 if row.is_base else row.result.cost.relative_passes
    return UNKNOWN if relative is None else f"{relative:g}×"


def fit_cost(row: BoardRow) -> list[tuple[str, str]]:
    """What fitting and tuning the method has taken besides the images, and what sampling takes, as terms."""
    search, relative = row.result.spec.method.search, passes(row)
    another = another_fit(row)
    return [
        ("U-Net passes of the fit", count(row.result.fit_passes)),
        ("Fits", fits(row)),
        *([("Another fit", another)] if another else []),
        ("Trials of the tuning", plural(search.trials, "trial") if search else tuned(row)),
        ("U-Net passes of the tuning", count(search.passes) if search else UNKNOWN),
        ("Training", training(row)),
        ("U-Net passes of an image", UNKNOWN if relative == UNKNOWN else f"{relative} those of the baseline"),
    ]


def training(row: BoardRow) -> str:
    """The length of the training, in a clause."""
    if row.share_trained is None:
        return "nothing is trained"
    if row.share_trained >= 1:
        return "of the published length"
    return f"cut to {_percent(row.share_trained)} of the published length"


def fidelity_change(row: BoardRow) -> LossRow | None:
    """The loss of explicit fidelity at the attribute where it may be largest, as its gate sees it."""
    return fidelity_row(Reading.of(row.result))


def alignment_change(row: BoardRow) -> LossRow | None:
    """The loss of alignment on neutral prompts."""
    found = (r for r in row.result.losses if (r.quantity, r.kind) == ("alignment", "neutral"))
    return next(found, None)


def change_text(row: LossRow | None) -> str:
    """A loss as a change with its one-sided bounds: ``"−3.0 points (−5.1 to −1.0)"``."""
    if row is None:
        return UNKNOWN
    ends = [number(100 * end, digits=1) for end in (-row.high, -row.low)]
    return f"{change(row)} ({ends[0]} to {ends[1]})"


def bands_text(bands: list[Band]) -> str:
    """How many methods are in each band: ``"2 ranked, 3 not proven and 4 failed"``."""
    return listing([f"{bands.count(band)} {BAND_TITLES[band].lower()}" for band in dict.fromkeys(bands)])
