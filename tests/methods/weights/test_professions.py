"""The professions that the released UCE preserves."""

from evenhand.methods.weights._professions import PROFESSIONS


def test_they_are_the_225_of_the_release_without_repeats():
    assert len(PROFESSIONS) == len(set(PROFESSIONS)) == 225
    assert PROFESSIONS[0] == "attendant" and all(name == name.strip() and name for name in PROFESSIONS)
