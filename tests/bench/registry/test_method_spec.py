"""``NAME[:parameter=value,…]`` becomes a method with checked parameters."""

from types import SimpleNamespace
from typing import ClassVar

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import check_intervention, load_method, local_methods, parse_method
from evenhand.methods.base import Intervention, Method, MethodInfo
from evenhand.methods.weights.mist import Mist


def suite(**methods):
    """Replaces a suite; the parser reads only the tables of its methods."""
    return SimpleNamespace(methods=methods, tuned={}, searches={})


def test_a_bare_name_takes_the_suites_parameters():
    use = parse_method("mist", suite=suite(mist={"step_size": 0.25}))
    assert (use.label, use.method.step_size) == ("mist", 0.25)


def test_given_parameters_override_the_suites_and_keep_the_others():
    use = parse_method("mist:step_size=0.5", suite=suite(mist={"step_size": 0.25, "rounds": 7}))
    assert (use.method.step_size, use.method.rounds) == (0.5, 7)


def test_the_table_of_another_method_is_not_used():
    assert parse_method("mist", suite=suite(uce={"rounds": 7})).method == load_method("mist")


@pytest.mark.parametrize(
    "text",
    ["mist:rounds=7,step_size=0.5", "mist:step_size=0.50,rounds=7", " mist : step_size = 5e-1 , rounds = 7 "],
)
def test_the_label_is_the_same_however_the_parameters_are_written(text):
    assert parse_method(text, suite=suite()).label == "mist:rounds=7,step_size=0.5"


@pytest.mark.parametrize(
    ("text", "parameter", "value"),
    [
        ("mist:remeasure=false", "remeasure", False),
        ("mist:source=a face of {a} {concept}", "source", "a face of {a} {concept}"),
        ('mist:negative_prompt="black, white"', "negative_prompt", "black, white"),
        ('mist:preserve=["", "a cat, a dog"]', "preserve", ("", "a cat, a dog")),
    ],
)
def test_values_are_parsed_as_toml_or_kept_as_text(text, parameter, value):
    assert getattr(parse_method(text, suite=suite()).method, parameter) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("misst", "unknown method 'misst'; did you mean 'mist'?"),
        ("mist:step_sizee=1", "unknown parameter of method 'mist': 'step_sizee'; did you mean 'step_size'?"),
        ("mist:step_size", "method 'mist:step_size': expected parameter=value, got 'step_size'"),
        ("mist:step_size=", "method 'mist:step_size=': expected parameter=value, got 'step_size='"),
        (
            "mist:step_size=1,step_size=2",
            "method 'mist:step_size=1,step_size=2' gives parameter 'step_size' twice; give it once",
        ),
    ],
)
def test_an_invalid_spec_is_a_one_line_error_with_the_fix(text, message):
    with pytest.raises(EvenhandError) as fault:
        parse_method(text, suite=suite())
    assert str(fault.value) == message


@pytest.mark.parametrize("text", ["mist:rounds=many", "mist:rounds=0", "mist:scope=everything"])
def test_an_invalid_value_is_a_one_line_error_with_method_parameter_and_value(text):
    parameter, value = text.removeprefix("mist:").split("=")
    with pytest.raises(EvenhandError) as fault:
        parse_method(text, suite=suite())
    message = str(fault.value)
    assert "\n" not in message
    assert message.startswith(f"method 'mist': {parameter}=")
    assert value in message


def test_a_table_of_an_unknown_method_is_an_error():
    with pytest.raises(EvenhandError, match=r"\[methods\] table: 'mits'; did you mean 'mist'"):
        parse_method("base", suite=suite(mits={"step_size": 1}))


def test_an_unknown_parameter_in_the_suites_table_is_an_error():
    with pytest.raises(EvenhandError, match=r"'step_sizee'; did you mean 'step_size'"):
        parse_method("mist", suite=suite(mist={"step_sizee": 1}))


class Unregistered(Method):
    """A method that no package registers.

    Attributes:
        size: A parameter.
    """

    info: ClassVar[MethodInfo] = Mist.info.model_copy(update={"name": "unregistered"})
    size: float = 1.0

    def fit(self, task):
        raise AssertionError("fit was called")


def test_an_object_or_class_need_not_be_registered():
    own = suite(unregistered={"size": 3.0})
    assert parse_method(Unregistered, suite=own).method.size == 3
    assert parse_method(Unregistered(), suite=own).label == "unregistered"
    use = parse_method(Unregistered(size=2), suite=own)
    assert (use.label, use.method.size) == ("unregistered:size=2.0", 2)
    known = local_methods([Unregistered])
    assert parse_method("unregistered:size=5", suite=own, local=known).method.size == 5


def test_two_local_classes_of_one_name_are_refused():
    class Other(Unregistered):
        pass

    with pytest.raises(EvenhandError, match=r"'unregistered' is registered for a class other than .*Other"):
        local_methods([Unregistered, Other])


class Unfinished(Method):
    """Lacks ``fit``."""


class Cardless(Method):
    """Lacks a card."""

    def fit(self, task):
        raise AssertionError("fit was called")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "a method must be a name, or an object or class of evenhand.methods.base.Method, got int"),
        (Unfinished, r"Unfinished defines no fit\(self, task\); add it"),
        (Cardless, "Cardless has no card; set info"),
    ],
)
def test_what_is_not_a_method_is_refused(given, message):
    with pytest.raises(EvenhandError, match=message):
        parse_method(given, suite=suite())


def test_a_fit_must_return_the_declared_intervention():
    class Own(Intervention):
        pass

    check_intervention(Unregistered(), Intervention())
    with pytest.raises(
        EvenhandError, match="fit returned Own, but intervention_type of Unregistered is Intervention; set"
    ):
        check_intervention(Unregistered(), Own())
