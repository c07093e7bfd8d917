"""The page ``docs/pipelines.md``, written by ``python -m evenhand.bench.models.pipeline_page``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from evenhand.bench.models.pipelines import ABOVE_ZERO, Support, support

PAGE = Path("docs", "pipelines.md")

RUN_BY = {
    "U-Net": "Evenhand's denoising loop",
    "transformer": "its own call",
    "video": "its own call, in Python only",
}

TEXT = """\
# Pipelines

Which pipelines of diffusers can be benchmarked, and how each takes the guidance scale of a protocol. The
pipeline of a model is `_class_name` in its `model_index.json`. The tables are those of diffusers {version}.
For other releases, Evenhand decides by the same rules from the signature of the pipeline.

In every protocol, `guidance` is the factor *w* in `uncond + w (cond - uncond)`: 1 is no guidance. Some
pipelines count from 0, and get `guidance - 1`.

## Accepted

| pipeline | run by | `guidance` is passed as |
| --- | --- | --- |
{accepted}

Methods that act inside the model need Evenhand's denoising loop. With the other pipelines, only the baseline
and methods that rewrite prompts run. Pipelines that can also edit images, such as `Flux2Pipeline`, draw from
the prompt alone.

A model of an accepted pipeline is refused if its U-Net reads an image or the guidance scale, or if it was
distilled to draw without guidance and the protocol asks for guidance.

## Refused

| reason | pipelines |
| --- | --- |
{refused}

Pipelines that generate videos or sound, that take no prompt, or that need more than a prompt are refused
too.
"""

UNLISTED = ("it takes no prompt", "it generates", "it needs")
"""First words of the reasons for which too many pipelines are refused to name them."""


def installed_pipelines() -> dict[str, Support]:
    """All pipelines of the installed diffusers by name, except those that need further packages."""
    import diffusers

    exported = [getattr(diffusers, name) for name in sorted(dir(diffusers)) if name.endswith("Pipeline")]
    base = diffusers.DiffusionPipeline
    kinds = [kind for kind in exported if isinstance(kind, type) and issubclass(kind, base)]
    return {kind.__name__: support(kind) for kind in kinds if kind is not base}


def page() -> str:
    """The page for the installed diffusers."""
    import diffusers

    known, refused = installed_pipelines(), defaultdict(list)
    for name, found in known.items():
        if found.reason and not found.reason.startswith(UNLISTED):
            refused[found.reason].append(f"`{name}`")
    return TEXT.format(
        version=diffusers.__version__,
        accepted="\n".join(_accepted(name, found) for name, found in known.items() if found.runner),
        refused="\n".join(f"| {reason} | {', '.join(names)} |" for reason, names in sorted(refused.items())),
    )


def _accepted(name: str, found: Support) -> str:
    argument = f"`{found.guidance}`" if found.guidance else "nothing: it must be 1"
    if found.runner != "transformer":
        argument = "`guidance_scale`"
    if name in ABOVE_ZERO:
        argument = f"`{found.guidance}` = `guidance - 1`"
    assert found.runner is not None, "the caller skips refused pipelines"
    return f"| `{name}` | {RUN_BY[found.runner]} | {argument} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
