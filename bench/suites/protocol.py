"""The generation settings of a suite, and which of them are part of the identity of its images."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from evenhand.bench.suites.evaluation_config import Spec

Quantization = Literal["none", "int8", "float8", "nf4"]
"""Precision in which the weights of a model's large networks are stored."""

Offload = Literal["none", "model", "layers"]
"""Which weights wait in the main memory: none, those of the networks that do not run, or those of layers."""

STORED = {"offload": True}
"""Context of a dump that keeps the settings that images do not depend on, for the suite file of a run."""

_LATER = {"compilation": "none", "quantization": "none", "attention": "default"}
"""Fields that were added after images were published, with the value that those have without stating it."""


class Protocol(Spec):
    """Frozen generation settings; any change needs a new version.

    The solver ``own`` is the scheduler of the model, for models that are run through their diffusers
    pipeline. With compilation ``whole``, generation is faster after some minutes, and the last bits of
    images change; see :mod:`evenhand.bench.models.compilation`. ``blocks``, ``quantization``, ``attention``
    and ``offload`` are for models that are run through their diffusers pipeline; see
    :mod:`evenhand.bench.models.large_models`.

    All fields are part of an image's key, except ``offload``, which does not change images.
    """

    version: str
    solver: Literal["dpmsolver++", "ddim", "euler", "lms", "pndm", "unipc", "own"] = "dpmsolver++"
    steps: int = Field(gt=0, le=1000)
    guidance: float = Field(ge=1)
    width: int = Field(gt=0, le=8192, multiple_of=8)
    height: int = Field(gt=0, le=8192, multiple_of=8)
    batch: int = Field(gt=0, le=1024)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    compilation: Literal["none", "whole", "blocks"] = "none"
    quantization: Quantization = "none"
    attention: str = Field(default="default", pattern=r"^[a-z0-9_]{1,40}$")
    offload: Offload = "none"

    @model_serializer(mode="wrap")
    def _without_later_choices(
        self, stated: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """Omit later fields at their defaults, so that keys of images from before they existed stay valid."""
        fields: dict[str, Any] = stated(self)
        for name, default in _LATER.items():
            if fields.get(name) == default:
                del fields[name]
        if self.offload == "none" or not (info.context or {}).get("offload"):
            fields.pop("offload", None)
        return fields
