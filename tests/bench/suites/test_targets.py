"""Target shares from labour statistics, tables and results."""

import numpy as np
import pytest
from helpers.report import a_result, an_estimate
from helpers.targets import HEADER, NURSES, aiming_at, table

from evenhand.bench.errors import EvenhandError
from evenhand.bench.suites.targets import labour_table, table_of


def test_labour_shares_match_the_published_table():
    shares = {concept: attributes["gender"]["woman"] for concept, attributes in labour_table().items()}
    assert len(shares) == 41
    published = {
        "nurse": 0.879,
        "CEO": 0.292,
        "carpenter": 0.035,
        "construction worker": 0.049,
        "editor": 0.66,
    }
    assert {name: shares[name] for name in published} == published
    # the occupation titles match these only loosely, so the value from WinoBias is used
    assert [shares[name] for name in ("attendant", "assistant", "supervisor")] == [0.76, 0.85, 0.44]
    assert all(
        sum(attributes["gender"].values()) == pytest.approx(1) for attributes in labour_table().values()
    )


def test_other_attributes_are_even_and_independent():
    suite = aiming_at("labour")
    (row,) = suite.target_shares(["nurse"], ("gender", "tone", "age"))
    expected = [w / 6 for w in (0.879, 0.121) for _ in range(6)]
    np.testing.assert_allclose(row, expected)
    assert [cell.groups["gender"] for cell in suite.cells()] == ["woman"] * 6 + ["man"] * 6
    # in the requested order
    (row,) = suite.target_shares(["CEO"], ("tone", "gender"))
    np.testing.assert_allclose(row, [0.292 / 3, 0.708 / 3] * 3)


def test_a_user_table_sets_single_concepts_or_all_others(tmp_path):
    suite = aiming_at(table(tmp_path, NURSES))
    shares = suite.target_shares(["nurse", "CEO"], ("gender",))
    np.testing.assert_allclose(shares, [[0.7, 0.3], [0.4, 0.6]])
    assert (suite.target_shares(["CEO"], ("age",)) == [[0.5, 0.5]]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "concept,group,share\n",
            r":1: column 'attribute' is missing in the header; it needs concept,attribute,group,share",
        ),
        (HEADER, r":2: no rows after the header; add one"),
        (HEADER + "nurse,gender,woman\n", r":2: expected 4 columns as in the header, got 3"),
        (HEADER + "nurse,gender,woman,most\n", r":2: share must be a number, got 'most'; write 0\.25"),
        (NURSES + "nurse,gender,man,0.3\n", r":6: duplicate share of 'man' for 'nurse'"),
        (HEADER + "nurse,gender,woman,1\n", r"target of 'nurse' lacks the share of gender 'man'; add it"),
        (
            NURSES.replace("0.7", "0.8"),
            r"shares of gender in the target of 'nurse' must be .*, got \[0\.8, 0\.3\]",
        ),
        (NURSES.replace("0.7", "nan"), r"shares of gender in the target of 'nurse' must be"),
        (
            HEADER + "nurse,gender,woman,-1\nnurse,gender,man,2\n",
            r"non-negative and sum to 1, got \[-1\.0, 2\.0\]",
        ),
        (
            NURSES.replace("gender", "gendr"),
            r"unknown attribute of the target of 'nurse' 'gendr'; did you mean 'gender'",
        ),
        (NURSES.replace("woman", "women"), r"unknown group of the target of 'nurse' 'women'; did you mean"),
    ],
)
def test_an_invalid_table_is_an_error_with_its_line(tmp_path, text, message):
    with pytest.raises(EvenhandError, match=message):
        aiming_at(table(tmp_path, text))


def test_a_missing_concept_and_a_missing_file_are_errors(tmp_path):
    suite = aiming_at(table(tmp_path, "".join(NURSES.splitlines(keepends=True)[:3])))
    with pytest.raises(EvenhandError, match=r"no shares of gender for 'CEO'; add rows for it or for '\*'"):
        suite.target_shares(["nurse", "CEO"], ("gender",))
    with pytest.raises(
        EvenhandError, match=r"target must be 'uniform', 'labour' or an existing file, got 'labor'"
    ):
        aiming_at("labor")
    with pytest.raises(EvenhandError, match=r"no shares of gender for 'astronaut'"):
        aiming_at("labour").target_shares(["astronaut"], ("gender",))


def drawn(tmp_path, women, *, corrected=None):
    """A result file whose baseline has these shares of women by occupation."""
    tables = {False: women} | ({} if corrected is None else {True: corrected})
    rows = [
        an_estimate(
            "share",
            share,
            attributes="gender",
            concept=concept,
            group=group,
            kind="neutral",
            judge="panel",
            corrected=truth,
        )
        for truth, table in tables.items()
        for concept, value in table.items()
        for group, share in (("woman", value), ("man", 1 - value))
    ]
    path = tmp_path / "base.json"
    path.write_text(a_result().model_copy(update={"estimates": rows}).to_json(), encoding="utf-8")
    return str(path)


def test_the_baseline_shares_can_be_the_target(tmp_path):
    seen, true = {"nurse": 0.8, "CEO": 0.125}, {"nurse": 0.9, "CEO": 0.0625}
    for corrected, wanted in ((None, seen), (true, true)):
        suite = aiming_at(drawn(tmp_path, seen, corrected=corrected))
        shares = suite.target_shares(["nurse", "CEO"], ("gender", "age"))
        np.testing.assert_allclose(shares[:, :2].sum(axis=1), list(wanted.values()))
        np.testing.assert_allclose(shares[:, 0], shares[:, 1])


def test_a_result_without_shares_cannot_be_a_target(tmp_path):
    with pytest.raises(
        EvenhandError, match=r"result of 'base' has no shares by concept; use the result of a run"
    ):
        aiming_at(drawn(tmp_path, {}))
    with pytest.raises(EvenhandError, match=r"no gender share of 'nurse'; use more images of this concept"):
        aiming_at(drawn(tmp_path, {"nurse": float("nan")}))
    (tmp_path / "own.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EvenhandError, match=r"own\.json: schema version of the result must be 2, got None"):
        aiming_at(str(tmp_path / "own.json"))


def test_a_name_of_no_table_is_an_error_and_not_the_uniform_target():
    with pytest.raises(EvenhandError, match="target must be 'uniform', 'labour' or a table, got 'labor'"):
        table_of("labor")
    assert table_of("uniform") == {}
