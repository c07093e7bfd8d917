"""The bundled prompt sets, as paths of their datasheets; registered as ``evenhand.prompts``."""

from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files(__package__)))
"""Folder of the datasheets and their CSVs."""

CONTROLS = FOLDER / "controls.toml"
CONTROLS_MINI = FOLDER / "controls-mini.toml"
DEVELOPMENT = FOLDER / "development.toml"
DEVELOPMENT_MINI = FOLDER / "development-mini.toml"
DALL_EVAL = FOLDER / "dall-eval.toml"
DEBIAS_VL = FOLDER / "debias-vl.toml"
ENTIGEN = FOLDER / "entigen.toml"
HEIM_BIAS = FOLDER / "heim-bias.toml"
HOLISTIC_BIAS = FOLDER / "holistic-bias.toml"
INTERSECTIONAL = FOLDER / "intersectional.toml"
INTERSECTIONAL_MINI = FOLDER / "intersectional-mini.toml"
OVER_CORRECTION = FOLDER / "over-correction.toml"
OVER_CORRECTION_MINI = FOLDER / "over-correction-mini.toml"
STABLE_BIAS = FOLDER / "stable-bias.toml"
STABLE_BIAS_IDENTITIES = FOLDER / "stable-bias-identities.toml"
WINOBIAS_35 = FOLDER / "winobias-35.toml"
WINOBIAS_35_TIME = FOLDER / "winobias-35-time.toml"
WINOBIAS_36 = FOLDER / "winobias-36.toml"
WINOBIAS_36_SUCCESSFUL = FOLDER / "winobias-36-successful.toml"
WINOBIAS_40 = FOLDER / "winobias-40.toml"
