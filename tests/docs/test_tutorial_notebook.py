"""The cells of the tutorial notebook run in order, and what they end with can be shown."""

import ast
import json

import pytest
from helpers.paths import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
CELLS = [("".join(cell["source"]), cell) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def executed(source, names):
    """Run a cell; the value of its last expression, as a notebook would show it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


def test_notebook_is_well_formed_and_without_output():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for _, cell in CELLS)


@pytest.mark.slow
def test_cells_run_in_order_and_show_something(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    shown = {cell["id"]: executed(source, names) for source, cell in CELLS}
    assert all(value is not None for value in shown.values())
    for cell in ("run", "estimate", "frame", "changed", "gallery", "labels"):
        assert shown[cell]._repr_html_(), cell
    for cell in ("distance", "shares"):
        assert shown[cell].to_dict()["data"]["values"], cell
    assert len(shown["frame"]) and len(shown["changed"])
    assert (tmp_path / "runs" / "notebook" / "gallery.html").is_file()
