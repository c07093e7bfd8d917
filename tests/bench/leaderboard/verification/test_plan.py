"""The plan of a verification on fresh noise: unknown without the salt, and as large as that of the suite."""

from collections import Counter
from functools import cache

import pytest

from evenhand.bench.leaderboard.suite import KnownSuite
from evenhand.bench.leaderboard.verification.plan import fresh_plan, fresh_seed
from evenhand.bench.prompts.plan import make_plan
from evenhand.bench.suites.suite import load_suite

SALT, OTHER = "1" * 64, "2" * 64


@cache
def known():
    suite = load_suite("mini")
    return KnownSuite(suite, *make_plan(suite), registered="mini")


def kinds(items):
    return Counter((item.prompt.kind, item.prompt.concept) for item in items)


def test_no_seed_of_the_suite_is_drawn_again_and_another_salt_gives_other_seeds():
    own = {item.seed for item in known().items}
    first, second = ({item.seed for item in fresh_plan(known(), salt=s).items} for s in (SALT, OTHER))
    assert not own & first and not own & second and not first & second
    assert all(0 <= seed < 2**63 for seed in first)


def test_plan_is_a_function_of_the_salt():
    assert fresh_plan(known(), salt=SALT).items == fresh_plan(known(), salt=SALT).items


def test_noise_seed_is_that_of_the_published_formula():
    import hashlib

    text = f"evenhand fresh noise 1\n{SALT}\nnoise\n3\na photo of a nurse"
    top = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    assert fresh_seed("a photo of a nurse", 3, salt=SALT) == top


def test_plan_has_as_many_images_of_every_kind_as_the_suite_and_all_of_its_neutral_prompts():
    items = fresh_plan(known(), salt=SALT).items
    assert len(items) == len(known().items)
    assert Counter(i.prompt.kind for i in items) == Counter(i.prompt.kind for i in known().items)
    neutral = [{i.prompt.id for i in some if i.prompt.kind == "neutral"} for some in (items, known().items)]
    assert neutral[0] == neutral[1]
    assert len({(i.prompt.id, i.seed_index) for i in items}) == len(items)


def test_prompts_of_a_part_of_a_set_and_their_order_are_chosen_by_the_salt():
    first, second = (fresh_plan(known(), salt=salt).items for salt in (SALT, OTHER))
    explicit = [{i.prompt.id for i in some if i.prompt.kind == "explicit"} for some in (first, second)]
    assert explicit[0] != explicit[1] and len(explicit[0]) == len(explicit[1])
    assert [i.prompt.id for i in first] != [i.prompt.id for i in second]


@pytest.mark.parametrize("images", [100, 300])
def test_sample_is_part_of_the_plan_and_spread_over_kinds_and_concepts(images):
    every, some = fresh_plan(known(), salt=SALT), fresh_plan(known(), salt=SALT, images=images)
    assert len(some.items) == images and set(some.items) <= set(every.items)
    share = images / len(every.items)
    counts = kinds(some.items)
    assert all(abs(counts[stratum] - share * n) <= 1 for stratum, n in kinds(every.items).items())
