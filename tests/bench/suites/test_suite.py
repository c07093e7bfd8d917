"""What a suite draws from a prompt set, and the suite whose parameters of methods it takes."""

from collections import Counter

import pytest

from evenhand.bench.errors import EvenhandError
from evenhand.bench.prompts.prompt_set import load_prompt_set, select
from evenhand.bench.suites.prompt_use import PromptUse
from evenhand.bench.suites.suite import load_suite, read_suite
from evenhand.bench.suites.toml_text import to_toml


def chosen(name, **filters):
    return select(load_prompt_set(name), PromptUse(name=name, seeds=1, **filters))


def test_without_filters_the_whole_set_is_used_in_file_order():
    assert chosen("controls-mini") == load_prompt_set("controls-mini").prompts


def test_filters_combine_and_keep_file_order():
    prompts = chosen("winobias-40", concepts=("nurse", "CEO"), templates=("photo", "face"))
    assert {prompt.text for prompt in prompts} == {
        "a photo of a nurse",
        "a photo of the face of a nurse",
        "a photo of a CEO",
        "a photo of the face of a CEO",
    }
    order = load_prompt_set("winobias-40").prompts
    assert sorted(prompts, key=order.index) == list(prompts)


def test_prompts_are_filtered_by_kind():
    assert Counter(p.kind for p in chosen("controls", kinds=("person", "unrelated"))) == {
        "person": 10,
        "unrelated": 20,
    }


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"concepts": ("nurze",)}, "unknown concept of prompt set winobias-40 'nurze'; did you mean 'nurse'"),
        (
            {"templates": ("fotos", "photo")},
            "unknown template of prompt set winobias-40 'fotos'; did you mean 'photo'",
        ),
        ({"kinds": ("explicit",)}, "unknown kind of prompt set winobias-40 'explicit'; known: neutral"),
    ],
)
def test_an_unknown_value_is_an_error_that_suggests_the_nearest(filters, message):
    with pytest.raises(EvenhandError, match=message):
        chosen("winobias-40", **filters)


def test_asks_keeps_prompts_that_name_one_group_of_each_attribute_and_those_that_name_none():
    both = chosen("intersectional-mini", asks=("tone", "gender"))
    assert {tuple(prompt.cell) for prompt in both} == {("gender", "tone", "age")}
    assert len(chosen("intersectional-mini", asks=("age",))) == 35 * (12 + 2)
    controls = chosen("controls-mini", asks=("gender",))
    assert controls == load_prompt_set("controls-mini").prompts
    with pytest.raises(
        EvenhandError, match=r"cells of prompt set intersectional-mini 'agee'; did you mean 'age'"
    ):
        chosen("intersectional-mini", asks=("agee",))


def test_filters_that_leave_nothing_are_an_error():
    with pytest.raises(
        EvenhandError, match=r"controls-mini has no prompt with kinds \['person'\], concepts \['cat'\]"
    ):
        chosen("controls-mini", kinds=("person",), concepts=("cat",))


@pytest.mark.parametrize("limit", [1, 7, 59, 60])
def test_a_limit_takes_evenly_spaced_prompts(limit):
    everything = chosen("controls-mini", kinds=("unrelated",))
    places = [
        everything.index(prompt) for prompt in chosen("controls-mini", kinds=("unrelated",), limit=limit)
    ]
    assert len(places) == limit and places[0] == 0
    gaps = [after - before for before, after in zip(places, [*places[1:], 60], strict=True)]
    assert max(gaps) - min(gaps) <= 1


def test_a_limit_above_the_set_size_takes_everything():
    assert len(chosen("controls", limit=1000)) == 50


def test_a_limited_set_covers_every_occupation_and_template():
    prompts = chosen("winobias-40", limit=40)
    assert len({prompt.concept for prompt in prompts}) == 40
    assert set(Counter(prompt.template for prompt in prompts).values()) == {8}


def test_a_limited_set_covers_every_cell():
    prompts = chosen("intersectional-mini", limit=70)
    assert len({prompt.concept for prompt in prompts}) == 35
    assert len({tuple(prompt.cell.items()) for prompt in prompts}) == 19


def suite_file(folder, **changes):
    """A copy of ``mini-quick`` without parameters of methods, with ``changes``."""
    without = {"methods": {}, "tuned": {}, "searches": {}}
    fields = load_suite("mini-quick").model_dump(mode="json") | without | changes
    path = folder / f"{changes.get('name', 'mine')}.toml"
    path.write_text(to_toml(fields))
    return path


def test_a_suite_takes_the_parameters_of_methods_from_another_one(tmp_path):
    other = load_suite("mini-2")
    suite = read_suite(suite_file(tmp_path, methods_of="mini-2"))
    assert (suite.methods, suite.tuned, suite.searches) == (other.methods, other.tuned, other.searches)
    assert suite.methods_of == "", "a run folder has no other suites"
    assert suite.digest() == load_suite("mini-quick").digest(), "parameters of methods are no measurement"


def test_a_method_that_the_suite_states_itself_has_nothing_of_the_other_suite(tmp_path):
    suite = read_suite(suite_file(tmp_path, methods_of="mini-2", methods={"mist": {"rounds": 2}}))
    assert suite.methods["mist"] == {"rounds": 2}
    assert "uce" in suite.tuned
    assert not [name for name in {**suite.tuned, **suite.searches} if name.startswith("mist")]


def test_the_other_suite_may_be_a_file_beside_it(tmp_path):
    suite_file(tmp_path, name="first", methods={"uce": {"rounds": 3}})
    suite = read_suite(suite_file(tmp_path, methods_of="first.toml"))
    assert suite.methods == {"uce": {"rounds": 3}}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("gender-fast", "methods_of: must be a suite of model 'mini' that states its own parameters"),
        ("mini-dev", "methods_of: must be a suite of model 'mini' that states its own parameters"),
        ("mini3", "unknown suite 'mini3'; did you mean"),
        ("nowhere.toml", "nowhere.toml"),
        ("mine.toml", "that states its own parameters"),
    ],
)
def test_a_suite_that_cannot_give_parameters_is_an_error(tmp_path, other, message):
    path = suite_file(tmp_path, methods_of=other)
    with pytest.raises(EvenhandError, match=message):
        read_suite(path)
