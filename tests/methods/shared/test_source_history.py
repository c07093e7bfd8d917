"""The measurements of an edited text, round by round."""

import numpy as np
import pytest

from evenhand.methods.shared.source_history import Source, SourceHistory

NURSE = Source(
    "nurse", "a nurse", "a photo of a nurse", ("a female nurse", "a male nurse"), ("a woman", "a man")
)


@pytest.fixture
def history():
    return SourceHistory(NURSE, target=np.array([0.7, 0.3]))


def test_the_gap_is_the_largest_distance_to_the_target(history):
    assert history.gap(np.array([0.9, 0.1])) == pytest.approx(0.2)
    assert history.gap(np.array([0.7, 0.3])) == 0


def test_every_round_is_kept_and_the_last_one_decides(history):
    assert not history.balanced and history.gaps == []
    history.note(np.array([0.7, 0.3]), images=10, balanced=True)
    assert history.balanced
    history.note(np.array([1.0, 0.0]), images=30, balanced=False)
    assert not history.balanced
    assert history.images == [10, 30] and history.gaps == pytest.approx([0, 0.3])


def test_an_edit_resets_the_counts_and_not_the_rounds(history):
    history.note(np.array([0.5, 0.5]), images=10, balanced=False)
    history.counts += [6, 4]
    history.restart()
    assert history.counts.tolist() == [0, 0] and history.images == [10]


def test_histories_do_not_share_their_lists(history):
    history.note(np.array([0.5, 0.5]), images=10, balanced=False)
    assert SourceHistory(NURSE, target=np.array([0.5, 0.5])).ratios == []
