"""Fits in a cache: what is read, and how a run states where they came from."""

import pytest

from evenhand.bench.cache.fits import find_fit, take_fit
from evenhand.bench.cache.layout import Contents, fit_names
from evenhand.bench.cache.places import FolderCache
from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.method_spec import MethodUse, load_method
from evenhand.bench.storage.fits import FitIdentity, read_fit, write_cost
from evenhand.methods.prompts.random_attribute import RandomAttributePromptIntervention
from evenhand.methods.saving import save

COST = {"images": 3, "judgements": 2, "evaluations": 1, "bytes": 0}
MADE_BY = FitIdentity("f", "c")
USE = MethodUse("random-attribute-prompt", load_method("random-attribute-prompt"))


def put(root, *, identity=MADE_BY, key=MADE_BY.key, origin=""):
    """A fit in a cache, under a key; returns the cache and its contents."""
    intervention = RandomAttributePromptIntervention(data={"a": 1})
    folder = root / "fits" / key
    save(intervention, folder)
    write_cost(folder, COST, identity, intervention, cache=origin)
    cache = FolderCache(root)
    return cache, Contents.of(cache.files())


def found(root, **options):
    cache, contents = put(root, **options)
    return find_fit(USE, MADE_BY, cache=cache, contents=contents)


def test_a_fit_is_taken_with_its_costs_and_marked_with_its_origin(tmp_path):
    folder, fitted = found(tmp_path / "cache")
    assert fitted.cost == COST and fitted.cache == ""
    take_fit(folder, fitted, use=USE, identity=MADE_BY, to=tmp_path / "fit", origin="a cache")
    taken = read_fit(tmp_path / "fit", USE, MADE_BY)
    assert (taken.cost, taken.cache) == (COST, "a cache")
    assert taken.intervention.digest() == fitted.intervention.digest()


def test_a_fit_of_another_identity_is_not_found(tmp_path):
    cache, contents = put(tmp_path)
    assert find_fit(USE, FitIdentity("f", "other code"), cache=cache, contents=contents) is None
    assert find_fit(USE, FitIdentity("other settings", "c"), cache=cache, contents=contents) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"identity": FitIdentity("other", "c")}, "is not the one that its name says"),
        ({"identity": FitIdentity("f", "other")}, "the code of the method has changed"),
        ({"origin": "another cache"}, "is not the one that its name says"),
    ],
)
def test_a_fit_that_its_name_does_not_describe_is_refused(tmp_path, options, words):
    with pytest.raises(EvenhandError, match=words):
        found(tmp_path, **options)


@pytest.mark.parametrize("place", range(3))
def test_a_large_file_of_a_fit_is_refused_before_it_is_read(tmp_path, place):
    put(tmp_path)
    with (tmp_path / fit_names(MADE_BY.key)[place]).open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(EvenhandError, match="are allowed; use another cache"):
        cache = FolderCache(tmp_path)
        find_fit(USE, MADE_BY, cache=cache, contents=Contents.of(cache.files()))


def test_a_fit_that_changes_while_it_is_read_is_refused(tmp_path):
    folder, fitted = found(tmp_path / "cache")
    save(RandomAttributePromptIntervention(data={"a": 2}), folder)
    with pytest.raises(EvenhandError, match="has changed while it was read"):
        take_fit(folder, fitted, use=USE, identity=MADE_BY, to=tmp_path / "fit", origin="a cache")
    assert not (tmp_path / "fit" / "cost.json").exists(), "the fit is not complete"
