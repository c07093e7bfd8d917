"""Tables of target shares, and suites that aim at them."""

from evenhand.bench.suites.suite import Suite, load_suite

HEADER = "concept,attribute,group,share\n"
NURSES = HEADER + "nurse,gender,woman,0.7\nnurse,gender,man,0.3\n*,gender,woman,0.4\n*,gender,man,0.6\n"


def table(tmp_path, text, name="target.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def aiming_at(target, suite="mini"):
    data = load_suite(suite).model_dump()
    return Suite.model_validate(data | {"target": target})
