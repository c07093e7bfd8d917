"""What an entry keeps of a result, and how two results are compared."""

from helpers.report import JOINT, NAN, a_comparison, a_result, an_estimate

from evenhand.bench.leaderboard.measure import differences, published
from evenhand.bench.results.lookup import PRIMARY_METRIC


def with_estimates(*rows):
    return a_result("mist", concepts=["nurse"]).model_copy(update={"estimates": list(rows)})


def test_rows_of_concepts_and_single_judges_are_left_out_but_for_ranks_and_the_primary_metric():
    kept = [
        an_estimate("excess_agreement", 0.1, attributes=JOINT, concept="nurse"),
        an_estimate(PRIMARY_METRIC, 0.5, attributes=JOINT, judge="vit"),
        an_estimate("share", 0.5, attributes="gender", group="woman"),
        an_estimate("alignment", 27.0, judge=""),
    ]
    gone = [
        an_estimate("excess_agreement", 0.1, attributes="gender", concept="nurse"),
        an_estimate("excess_agreement", 0.1, attributes=JOINT, concept="nurse", judge="vit"),
        an_estimate("share", 0.5, attributes="gender", group="woman", concept="nurse"),
        an_estimate("share", 0.5, attributes="gender", group="woman", judge="vit"),
    ]
    assert published(with_estimates(*kept, *gone)).estimates == kept


def test_ranks_and_comparisons_of_groups_are_left_out():
    result = a_result("mist").model_copy(
        update={
            "comparisons": [a_comparison(-0.1), a_comparison(-0.2).model_copy(update={"group": "woman"})],
        }
    )
    found = published(result)
    assert result.ranks and found.ranks == []
    assert [row.value for row in found.comparisons] == [-0.1]


def test_published_result_keeps_its_specification_and_is_published_once():
    result = a_result("mist")
    assert published(result).spec == result.spec
    assert published(published(result)) == published(result)


def test_altered_number_is_named_with_its_row_and_both_values():
    stated, again = (
        with_estimates(an_estimate("share", value, attributes="gender", floor=0.1)) for value in (0.5, 0.4)
    )
    first = differences(stated, again)[0]
    assert first.startswith("estimates (share gender neutral panel 1).value is 0.5")
    assert first.endswith("its labels give 0.4")


def test_missing_rows_are_one_difference():
    row = an_estimate("share", 0.5)
    assert differences(with_estimates(row), with_estimates(row, row)) == [
        "estimates is 1 rows, its labels give 2 rows"
    ]


def test_last_bits_and_missing_numbers_on_both_sides_are_no_difference():
    one, other = (
        an_estimate("share", value, low=NAN, high=1.0) for value in (0.123456789, 0.123456789 * (1 + 1e-9))
    )
    assert differences(with_estimates(one), with_estimates(other)) == []
    assert differences(with_estimates(one), with_estimates(one.model_copy(update={"low": 0.1}))) != []
