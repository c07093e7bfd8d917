"""Names with parameters as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import parse_method
from evenhand.bench.registry.spec_text import build, label, split
from evenhand.bench.suites.suite import load_suite


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("mist", {}),
        ("mist:", {}),
        (" mist : rounds = 5 , step_size=0.3", {"rounds": 5, "step_size": 0.3}),
        ("mist:names=[1, 2],kind='a, b'", {"names": [1, 2], "kind": "a, b"}),
        ("mist:flag=true,text=plain words", {"flag": True, "text": "plain words"}),
        ("mist:model=org/name,template={a} {concept}", {"model": "org/name", "template": "{a} {concept}"}),
        ("mist:seed=" + "9" * 5000, {"seed": "9" * 5000}),
    ],
)
def test_values_are_toml_or_else_text(text, parameters):
    assert split(text, kind="method") == ("mist", parameters)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mist:rounds", "expected parameter=value, got 'rounds'"),
        ("mist:=3", "expected parameter=value, got '=3'"),
        ("mist:rounds=", "expected parameter=value, got 'rounds='"),
        ("mist:rounds=1,rounds=2", "gives parameter 'rounds' twice; give it once"),
    ],
)
def test_other_texts_are_an_error_that_shows_them(text, message):
    with pytest.raises(EvenhandError) as fault:
        split(text, kind="method")
    assert str(fault.value).startswith(f"method {text!r}") and message in str(fault.value)


def test_a_label_is_sorted_and_without_spaces():
    assert label("mist", {"step_size": 0.3, "names": ["a", "b"], "rounds": 5}) == (
        'mist:names=["a","b"],rounds=5,step_size=0.3'
    )
    assert label("mist", {}) == "mist"


VALUES = st.one_of(
    st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.lists(st.integers(0, 9), max_size=3)
)


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_a_label_reads_as_the_parameters_that_it_was_made_from(parameters):
    name, given_ = split(label("mist", parameters), kind="method")
    assert (name, given_) == ("mist", parameters)


class Parameters(BaseModel):
    """One required and one bounded parameter."""

    model_config = ConfigDict(extra="forbid")

    source: str
    rounds: int = Field(default=5, gt=0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"source": "a", "round": 1}, "unknown parameter of method 'mist': 'round'; did you mean 'rounds'?"),
        ({"source": "a", "rounds": 0}, "method 'mist': rounds=0: Input should be greater than 0"),
        ({}, "method 'mist': source: Field required"),
    ],
)
def test_wrong_parameters_are_an_error_with_name_and_value(parameters, message):
    assert build(Parameters, "mist", {"source": "a"}, kind="method").rounds == 5
    with pytest.raises(EvenhandError) as fault:
        build(Parameters, "mist", parameters, kind="method")
    assert str(fault.value) == message


TEXTS = st.text(st.sampled_from("ab1 ,;[]{}\"'=\\#.\n\x7fé😀"), max_size=12)
NESTED = st.recursive(
    st.one_of(VALUES, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), NESTED, max_size=3))
def test_a_label_with_texts_and_tables_reads_as_the_parameters_that_it_was_made_from(parameters):
    assert split(label("mist", parameters), kind="method") == ("mist", parameters)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"measure": "a {a} {concept}, smiling"}, 'mist:measure="a {a} {concept}, smiling"'),
        (
            {"priorities": {"gender": 1.5, "skin tone": [1, 2]}},
            'mist:priorities={gender=1.5,"skin tone"=[1,2]}',
        ),
        ({"text": "3"}, 'mist:text="3"'),
        ({"text": ""}, 'mist:text=""'),
        ({"text": 'say "a"]'}, r'mist:text="say \"a\"]"'),
        ({"model": "org/name", "scale": 0.5, "flag": True}, "mist:flag=true,model=org/name,scale=0.5"),
    ],
)
def test_a_label_quotes_only_texts_that_need_it_and_writes_tables_as_toml(parameters, text):
    assert label("mist", parameters) == text
    assert split(text, kind="method") == ("mist", parameters)


def test_brackets_and_quotes_that_are_not_closed_are_text():
    assert split("mist:a=it's,b=[1,c={2", kind="method") == ("mist", {"a": "it's", "b": "[1", "c": "{2"})


def test_a_method_with_a_text_that_has_commas_has_more_fits():
    text = 'mist:measure="a photo of a {a} {concept}, smiling"'
    use = parse_method(text, suite=load_suite("mini-quick"))
    assert use.label == text
    assert use.nth_fit(2).label == text.replace("mist:", "mist:fit=2,")
