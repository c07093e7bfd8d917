"""The bundled model ``mini``, its judges, and the known distribution of its training data."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent
"""Folder of the bundled files: ``pipeline/``, ``clip/``, ``weights/<judge>/``, ``world.npz``."""
