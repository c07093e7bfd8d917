"""The statements of an auditor as a record."""

from datetime import date

import pytest
from pydantic import ValidationError

from evenhand.bench.results.title_block import Threshold, TitleBlock


@pytest.mark.parametrize("limits", [{}, {"at_most": 0.3, "at_least": 0.1}])
def test_threshold_has_exactly_one_limit(limits):
    with pytest.raises(
        ValidationError, match="threshold of share must have exactly one of at_most and at_least"
    ):
        Threshold(metric="share", **limits)


def test_limit_of_zero_is_a_limit():
    assert Threshold(metric="share", at_least=0).at_least == 0
    assert Threshold(metric="share", at_most=0).at_most == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_limit_that_is_not_finite_is_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        Threshold(metric="share", at_most=value)


def test_empty_block_states_nothing():
    stated = TitleBlock().model_dump()
    assert stated.pop("thresholds") == []
    assert set(stated.values()) == {""}


def test_unknown_statement_is_refused():
    with pytest.raises(ValidationError, match="clent"):
        TitleBlock.model_validate({"clent": "x"})


def test_block_is_read_as_it_was_written():
    threshold = Threshold(metric="share", group="woman", at_least=0.4, why="agreed", fixed=date(2026, 1, 1))
    block = TitleBlock(client="A", thresholds=[threshold])
    assert TitleBlock.model_validate_json(block.model_dump_json()) == block
