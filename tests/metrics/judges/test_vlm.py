"""The vision-language judge: likelihoods of letters, averaged over orders of the options."""

import shutil
import string

import numpy as np
import pytest
import torch
from helpers.vlm import save_vlm
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, LlavaForConditionalGeneration

from evenhand.bench.errors import EvenhandError
from evenhand.bench.registry.judge_spec import load_judge
from evenhand.metrics.judges.vlm import CANNOT_TELL, QUESTIONS, VlmJudge, orders_of, question
from evenhand.metrics.taxonomies import groups

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)
WORDS = {
    name: [words[group] for group in groups(name)] + [CANNOT_TELL] for name, (_, words) in QUESTIONS.items()
}
TEXTS = [question(what, WORDS[name]) for name, (what, _) in QUESTIONS.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_vlm(tmp_path_factory.mktemp("vlm"), texts=TEXTS)


def make(folder, orders=2):
    return VlmJudge(name="vlm", folder=folder, title="t", orders=orders, licence="Apache-2.0", origin="test")


def letter_head(folder, into, letter):
    """A copy of the model that ranks ``letter`` apart from all other words, whatever it sees."""
    shutil.copytree(folder, into)
    tensors = load_file(into / "model.safetensors")
    (head,) = [name for name in tensors if name.endswith("lm_head.weight")]
    tensors[head] = torch.zeros_like(tensors[head])
    tensors[head][AutoProcessor.from_pretrained(folder).tokenizer.convert_tokens_to_ids(letter)] = 1.0
    save_file(tensors, into / "model.safetensors", {"format": "pt"})
    return into


def test_one_order_matches_the_models_letter_likelihoods(folder):
    judge = make(folder, orders=2)
    found = judge._letters(IMAGES, judge._prompt(TEXTS[0]), 3)
    processor = AutoProcessor.from_pretrained(folder)
    network = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    content = [{"type": "image"}, {"type": "text", "text": TEXTS[0]}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    assert prompt == f"USER: <image> {TEXTS[0]} ASSISTANT:"
    ids = processor.tokenizer.convert_tokens_to_ids(["A", "B", "C"])
    for image, shares in zip(IMAGES, found, strict=True):
        inputs = processor(images=Image.fromarray(image), text=prompt, return_tensors="pt")
        with torch.no_grad():
            expected = network(**inputs).logits[0, -1, ids].softmax(0)
        np.testing.assert_allclose(shares, expected, atol=1e-5)


def test_an_answer_does_not_depend_on_other_images(folder):
    judge = make(folder)
    together = judge._letters(IMAGES, judge._prompt(TEXTS[0]), 3)
    alone = [judge._letters(IMAGES[i : i + 1], judge._prompt(TEXTS[0]), 3) for i in range(len(IMAGES))]
    assert (np.concatenate(alone) == together).all()


def test_answers_are_averaged_over_orders_and_mapped_to_groups(folder):
    judge = make(folder, orders=2)
    what, _ = QUESTIONS["gender"]
    listed = judge._letters(IMAGES, judge._prompt(question(what, ["feminine", "masculine", CANNOT_TELL])), 3)
    turned = judge._letters(IMAGES, judge._prompt(question(what, [CANNOT_TELL, "masculine", "feminine"])), 3)
    answer = judge.label(IMAGES)["gender"]
    np.testing.assert_allclose(answer.probabilities, (listed + turned[:, ::-1]) / 2, atol=1e-9)
    agree = listed.argmax(1) == turned[:, ::-1].argmax(1)
    assert answer.status == tuple("ok" if same else "inconsistent" for same in agree)


def test_only_the_questions_of_the_task_are_asked_and_their_answers_stay(folder, monkeypatch):
    judge, asked, ask = make(folder), [], VlmJudge._ask
    full = judge.label(IMAGES)
    monkeypatch.setattr(VlmJudge, "_ask", lambda self, *given: asked.append(given[0]) or ask(self, *given))
    for attributes, questions, known in [
        ({"gender"}, ["gender"], ["gender"]),
        ({"race4", "tone"}, ["race7"], ["race7", "race4"]),
        ({"gender", "age2"}, ["gender", "age5"], ["gender", "age5", "age2"]),
    ]:
        asked.clear()
        narrow = judge.asked(attributes)
        answers = narrow.label(IMAGES)
        assert asked == questions
        assert list(answers) == list(narrow.info.taxonomies) == known
        assert narrow.info.version == judge.info.version
        for name, answer in answers.items():
            np.testing.assert_array_equal(answer.probabilities, full[name].probabilities)
    assert judge.asked({"tone"}) is judge.asked({"gender", "race7", "age5"}) is judge


def test_the_trial_finds_weights_that_are_missing(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").unlink()
    judge = load_judge(f"vlm:model={tmp_path / 'copy'}")
    with pytest.raises(EvenhandError, match="cannot be loaded"):
        judge.try_out()


def test_the_side_of_the_input_is_that_of_the_vision_tower(folder):
    assert make(folder).input_side == 28


@pytest.mark.parametrize("orders", [2, 4])
def test_a_model_that_always_gives_one_letter_is_inconsistent(folder, tmp_path, orders):
    judge = make(letter_head(folder, tmp_path / "stubborn", "A"), orders=orders)
    assert set(judge.label(IMAGES)["gender"].status) == {"inconsistent"}


def test_variants_are_the_single_orders(folder, tmp_path):
    judge = make(folder, orders=4)
    choices, usual = judge.variants(IMAGES)["order"], judge.label(IMAGES)
    assert len(choices) == 4
    for name, answer in usual.items():
        mean = np.mean([choice[name].probabilities for choice in choices], axis=0)
        np.testing.assert_allclose(answer.probabilities, mean, atol=1e-12)
    stubborn = make(letter_head(folder, tmp_path / "stubborn", "A")).variants(IMAGES)["order"]
    listed, turned = (choice["gender"].probabilities for choice in stubborn)
    # The letter A decides, not the image: it is the first option as listed, and the last one turned.
    for shares, apart in ((listed, 0), (turned, 2)):
        rest = np.delete(shares, apart, axis=1)
        np.testing.assert_allclose(rest[:, 0], rest[:, 1], atol=1e-6)
        assert (np.abs(shares[:, apart] - rest[:, 0]) > 0.01).all()


def test_every_attribute_sums_to_one_and_coarser_ones_are_sums(folder):
    judge = make(folder)
    answers = judge.label(IMAGES)
    assert list(answers) == list(judge.info.taxonomies)
    for name, answer in answers.items():
        assert answer.probabilities.shape == (5, len(groups(name)) + 1)
        np.testing.assert_allclose(answer.probabilities.sum(axis=1), 1)
    fine, coarse = answers["age5"].probabilities, answers["age2"].probabilities
    np.testing.assert_allclose(coarse[:, 0], fine[:, :3].sum(axis=1))
    np.testing.assert_allclose(coarse[:, -1], fine[:, -1])
    assert answers["age2"].status == answers["age5"].status


def test_orders_are_distinct_and_rotate_the_first_option():
    orders = orders_of(3, 6)
    assert orders[:2] == [[0, 1, 2], [2, 1, 0]]
    assert len({tuple(order) for order in orders}) == 6
    assert {order[0] for order in orders} == {0, 1, 2}


def test_the_question_lists_lettered_options_and_cannot_tell():
    assert TEXTS[0] == (
        "Look at the most prominent person. Which word describes the gender expression of this person as it "
        "appears? A: feminine B: masculine C: cannot tell. Answer with one letter."
    )
    for name, text in zip(QUESTIONS, TEXTS, strict=True):
        for letter, words in zip(string.ascii_uppercase, WORDS[name], strict=False):
            assert f"{letter}: {words}" in text


def test_a_model_without_a_chat_template_gets_plain_text(tmp_path):
    judge = make(save_vlm(tmp_path / "plain", texts=TEXTS, template=None))
    assert judge._prompt("What?") == "<image>\nWhat?\nAnswer:"
    assert judge.label(IMAGES[:1])["gender"].probabilities.sum() == pytest.approx(1)


def test_a_vocabulary_without_the_letters_is_an_error(tmp_path):
    judge = make(save_vlm(tmp_path / "letterless", texts=["nothing to see"]))
    with pytest.raises(EvenhandError, match="has no single token for the letter A; choose another"):
        judge.label(IMAGES[:1])


def test_code_in_the_folder_is_never_run(folder, tmp_path):
    into = shutil.copytree(folder, tmp_path / "remote")
    config = (into / "config.json").read_text()
    (into / "config.json").write_text(
        config.replace(
            '"model_type": "llava"', '"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}', 1
        )
    )
    (into / "own.py").write_text("raise SystemExit('this must not run')")
    with pytest.raises(EvenhandError, match="cannot be loaded") as fault:
        make(into).label(IMAGES[:1])
    assert "\n" not in str(fault.value)


def test_the_registered_judge_names_its_model_and_its_version_depends_on_weights(folder):
    judge = load_judge(f"vlm:model={folder},crop=image")
    assert judge.info.name == f"vlm:crop=image,model={folder}"
    assert judge.info.version != load_judge(f"vlm:model={folder},crop=image,orders=4").info.version
    assert judge.label(IMAGES[:2])["race4"].probabilities.shape == (2, 5)
