"""Tables as LaTeX and Markdown: complete, escaped, and of the right shape."""

import base64
import io
import re
import zipfile

from helpers.report import an_estimate

from evenhand.reports.components.exports import LATEX, latex, tables_archive, to_latex, to_markdown
from evenhand.reports.components.tables import Row, Table, alert, estimated, of_group, text
from evenhand.reports.run.figures import Figure

HOSTILE = r"a_b & 50% of {x} \input{/etc/passwd} $y$ #1 ~ ^ <b> |"


def a_table(*rows, about="95% intervals"):
    return Table("methods", "Every measure", ["Measure", "base", "mist"], rows, about)


def a_row(value=0.972, group="Distance"):
    cell = estimated(an_estimate("rms_delta", value), notes=["n 1,600"])
    return Row([text("Gender"), cell, cell], group, "0 is even")


def test_latex_has_a_row_for_every_row_with_its_interval_and_n():
    lines = to_latex(a_table(a_row(), a_row(0.3))).splitlines()
    cell = r"\begin{tabular}[t]{@{}r@{}}VALUE\\{\scriptsize ENDS; n 1,600}\end{tabular}"
    cells = [
        cell.replace("VALUE", value).replace("ENDS", ends)
        for value, ends in (("0.972", "0.937 to 1.007"), ("0.300", "0.265 to 0.335"))
    ]
    assert [line for line in lines if line.startswith("Gender")] == [
        rf"Gender & {each} & {each} \\" for each in cells
    ]
    assert r"\begin{tabular}{lrr}" in lines and r"\label{tab:methods}" in lines
    assert lines.count(r"\multicolumn{3}{l}{\itshape Distance} \\") == 1


def test_latex_of_any_text_has_balanced_braces_and_no_command_of_the_text():
    out = to_latex(a_table(Row([text(HOSTILE), text(HOSTILE), alert(HOSTILE)])))
    assert r"\input" not in out and r"\textbackslash{}input" in out
    bare = re.sub(r"\\[{}]", "", out)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)[%#_]", re.sub(r"\\label\{[^}]*\}", "", out))
    (row,) = [line for line in out.splitlines() if line.startswith("a")]
    assert len(re.findall(r"(?<!\\)&", row)) == 2, "as many columns as the table"


def test_latex_is_ascii_for_every_character_of_the_reports():
    assert latex("".join(LATEX)).isascii()
    assert latex("−0.5 × 3 “so”") == r"$-$0.5 $\times$ 3 ``so''"


def test_markdown_has_the_columns_of_the_table_in_every_row():
    out = to_markdown(a_table(a_row(), Row([text(HOSTILE), text("a\nb"), text("c")], "Other")))
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "| Gender | 0.972 (0.937 to 1.007; n 1,600) |" in out
    assert "<b>" not in out and r"\<b\>" in out


def test_value_of_the_worst_group_names_the_group_and_its_own_images():
    row = an_estimate("explicit_fidelity", 0.911, attributes="tone", group="medium", n=111)
    cell = of_group(row)
    assert (cell.text, cell.notes[1]) == ("91.1%", "medium, n 111")
    assert (cell.raw["n"], cell.raw["group"]) == (111, "medium")


def test_every_table_of_a_page_is_in_the_archive_wherever_it_stands():
    inner = Table("inner", "Inner", ["A"], [Row([text("x")])])
    empty = Table("empty", "Empty", ["A"], [])
    figure = Figure("figure", "Finding", [], [], "", inner)
    content = {
        "one": a_table(a_row()),
        "figures": [figure],
        "nothing": None,
        "empty": empty,
        "spec": object(),
    }
    file = tables_archive(content)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(file.uri.split(",", 1)[1]))) as packed:
        assert packed.namelist() == ["methods.tex", "methods.md", "inner.tex", "inner.md"]
        assert packed.read("inner.tex").decode() == to_latex(inner)
    assert tables_archive(content).uri == file.uri, "the same content gives the same bytes"
    assert tables_archive({"empty": empty}) is None
