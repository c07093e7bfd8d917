"""Which method is checked: an installed one by name, or a class in a file."""

import pytest
from helpers.local_methods import polite

from evenhand.bench.errors import EvenhandError
from evenhand.bench.method_check.subject import subject_at, subject_of


def test_an_installed_method_gets_the_parameters_of_the_development_suite():
    subject = subject_of("mist:rounds=2")
    assert (subject.method.rounds, subject.method.steering_judge) == (2, "clip-xs")
    assert subject.origin.startswith("evenhand.methods.weights.mist:Mist of evenhand ")


def test_a_class_in_a_file_is_found_with_and_without_its_name(tmp_path):
    path = polite(tmp_path)
    for place in (f"{path}:Polite", str(path)):
        assert subject_at(place).method.info.name == "polite"


def test_a_method_with_few_cells_gets_one_attribute(tmp_path):
    path = polite(tmp_path, ('    ending: str = "please"', '    max_cells = 2\n    ending: str = "please"'))
    assert len(subject_at(str(path)).cells) == 2
    assert len(subject_at(str(polite(tmp_path))).cells) == 4


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing.py", "no such file"),
        ("polite_method.py:Pollite", "did you mean 'Polite'"),
        ("broken_method.py", "fails to load: ValueError: oh"),
        ("leaving_method.py", "fails to load: SystemExit: 3"),
        ("json.py", "json is the name of a module that this environment has; rename the file"),
        ("empty_method.py", r"defines 0 method classes \(none\); write .*:CLASS"),
    ],
)
def test_a_file_without_the_class_is_refused(place, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    polite(tmp_path)
    (tmp_path / "broken_method.py").write_text("raise ValueError('oh')")
    (tmp_path / "leaving_method.py").write_text("raise SystemExit(3)")
    (tmp_path / "json.py").write_text("")
    (tmp_path / "empty_method.py").write_text("")
    with pytest.raises(EvenhandError, match=message):
        subject_at(place)
