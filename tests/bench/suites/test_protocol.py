"""The identity of images: which settings of a protocol are part of it."""

import json

import pytest
from pydantic import ValidationError

from evenhand.bench.storage.run_folder import RunFolder
from evenhand.bench.suites.suite import Protocol, load_suite, read_suite
from evenhand.bench.suites.variant import variant

STATED = {
    "version": "1",
    "solver": "own",
    "steps": 4,
    "guidance": 3.0,
    "width": 64,
    "height": 64,
    "batch": 2,
    "precision": "float32",
}
LATER = {"compilation": "blocks", "quantization": "int8", "attention": "flash"}


def identity(**changes):
    """What keys of images contain of a protocol."""
    return json.loads(Protocol(**STATED, **changes).model_dump_json())


def test_identity_of_a_protocol_from_before_later_settings_is_unchanged():
    assert identity() == STATED
    assert identity(compilation="none", quantization="none", attention="default", offload="none") == STATED


@pytest.mark.parametrize(("field", "value"), LATER.items())
def test_a_setting_that_changes_images_is_part_of_the_identity(field, value):
    assert identity(**{field: value}) == STATED | {field: value}


@pytest.mark.parametrize("offload", ["model", "layers"])
def test_where_weights_wait_is_not_part_of_the_identity(offload):
    assert identity(offload=offload) == STATED
    suite = load_suite("gender-fast")
    other = variant("gender-fast", settings=[f"protocol.offload={offload}"])
    assert other.protocol.offload == offload
    assert (other.name, other.digest()) == (suite.name, suite.digest())
    assert other == suite.model_copy(
        update={"protocol": suite.protocol.model_copy(update={"offload": offload})}
    )


def test_a_variant_keeps_where_the_weights_of_its_suite_wait():
    waiting = variant("gender-fast", settings=["protocol.offload=model"])
    other = variant(waiting, settings=["protocol.steps=10"])
    assert (other.protocol.offload, other.protocol.steps) == ("model", 10)
    assert other.name == "gender-fast+steps-10"


def test_a_run_folder_keeps_where_weights_wait_for_its_workers_and_takes_a_new_choice(tmp_path):
    folder = RunFolder(tmp_path)
    for offload in ("model", "none", "layers"):
        folder.initialize(variant("gender-fast", settings=[f"protocol.offload={offload}"]))
        assert read_suite(tmp_path / "suite.toml").protocol.offload == offload
    assert folder.spec().digest() == load_suite("gender-fast").digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantization", "int3"), ("attention", "Flash 2"), ("offload", "disk"), ("compilation", "most")],
)
def test_an_unknown_value_is_rejected(field, value):
    with pytest.raises(ValidationError, match=field):
        Protocol(**STATED, **{field: value})
