"""Finetuning: its losses by naive sums, its training repeatable, interrupted and within the budget."""

import itertools

import numpy as np
import pytest
import torch
from helpers.finetuning import QUICK, aligned, certain, shown, task_on
from helpers.methods import GENDER, JOINT
from helpers.mini import labelled_people

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.registry.method_spec import MethodUse
from evenhand.bench.stages import checkpoint
from evenhand.bench.stages.fit import CountedJudge, CountedSample, fit
from evenhand.bench.stages.progress import Progress
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.storage.images import ImageStore
from evenhand.bench.suites.suite import load_suite
from evenhand.methods.finetuning._preservation import Perceived
from evenhand.methods.finetuning.finetuning import Finetuning, _mean


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


@pytest.fixture(scope="module")
def pictures():
    images = labelled_people()[0][:4]
    return images, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_every_attribute_is_classified_by_the_judges_own_texts(model, pictures):
    images, pixels = pictures
    perceived = aligned(model).perceived(pixels)
    answers = clip_xs().label(images)
    assert set(perceived.logs) == {"gender", "age"} and perceived.faces is None and perceived.seen.all()
    for name, logs in perceived.logs.items():
        names = clip_xs().info.taxonomies[name]
        wanted = answers[name].probabilities[
            :, [names.index(g) for g in dict.fromkeys(c.groups[name] for c in JOINT)]
        ]
        np.testing.assert_allclose(logs.exp().numpy(), wanted, atol=1e-4)


def test_with_texts_of_cells_the_probability_of_a_group_is_the_sum_over_its_cells(model, pictures):
    pixels = pictures[1]
    logs = aligned(model, labels="a photo of {a} {noun}").perceived(pixels).logs
    texts = [f"a photo of {a} {c.noun}" for a, c in zip(["a", "a", "an", "an"], JOINT, strict=True)]
    p = clip_xs().logits(pixels, texts).softmax(dim=1)
    torch.testing.assert_close(
        logs["gender"].exp(), torch.stack([p[:, [0, 2]].sum(1), p[:, [1, 3]].sum(1)], 1)
    )
    torch.testing.assert_close(logs["age"].exp(), torch.stack([p[:, :2].sum(1), p[:, 2:].sum(1)], 1))


def test_images_without_a_face_have_no_target(model):
    faces = torch.tensor([[0.0, 0, 9, 9], [0, 0, 0, 0], [0, 0, 9, 9]])
    perceived = shown({"gender": [0, 0, 1], "age": [0, 1, 0]}, faces=faces)
    alignment = aligned(model, most_uncertain=1.0)
    targets = alignment.targets(perceived, np.full(4, 0.25))
    assert all(sure.tolist() == [True, False, True] for _, sure in targets.values())
    nothing = Perceived(perceived.logs, torch.zeros(3, 4))
    targets = alignment.targets(nothing, np.full(4, 0.25))
    assert not any(sure.any() for _, sure in targets.values())
    assert float(alignment.fairness(nothing, targets)) == 0


def test_the_fairness_loss_is_the_cross_entropy_of_the_certain_targets(model):
    perceived = shown({"gender": [0, 1, 1], "age": [0, 1, 0]})
    targets = certain(gender=[0, 0, 1], age=[0, 0, 1])
    targets["age"][1][1:] = False
    wanted = -sum(float(perceived.logs["gender"][n, g]) for n, g in enumerate([0, 0, 1]))
    wanted -= float(perceived.logs["age"][0, 0])
    assert float(aligned(model).fairness(perceived, targets)) == pytest.approx(wanted)


@pytest.mark.slow
def test_images_do_not_depend_on_the_chunks_they_are_generated_in(model):
    noise = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, parts = (
            aligned(model, chunk=chunk).images(noise, "a photo of a nurse", 2) for chunk in (3, 2)
        )
    torch.testing.assert_close(whole, parts, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_guidance_of_one_does_not_evaluate_the_empty_prompt(model):
    method = Finetuning(**QUICK | {"guidance": 1.0, "steps": 1})
    before = model.evaluations
    method.fit(task_on(model))
    assert model.evaluations - before == method.budget(concepts=2, cells=GENDER).evaluations == 2 * 4 * 3


@pytest.mark.slow
def test_training_is_repeatable_and_within_the_budget(model):
    method = Finetuning(**QUICK)
    fits = []
    for _ in range(2):
        task, before = task_on(model), model.evaluations
        fitted = method.fit(task)
        fits.append((fitted.digest(), task.judge.judgements, model.evaluations - before))
    assert fits[0] == fits[1]
    budget = method.budget(concepts=2, cells=GENDER)
    assert budget.exact and fits[0][1:] == (budget.judgements, budget.evaluations)
    parameters = {
        **{f"unet.{name}": value for name, value in model.unet.named_parameters()},
        **{f"text_encoder.{name}": value for name, value in model.text_encoders[0][1].named_parameters()},
    }
    changed = [not torch.equal(value, parameters[name]) for name, value in fitted.weights.items()]
    assert all(changed) and {name.partition(".")[0] for name in fitted.weights} == {"unet", "text_encoder"}


@pytest.mark.parametrize("largest", [0.0, 0.3, 0.996])
def test_the_mean_of_the_updates_forgets_less_and_less(largest):
    class Updates:
        value = torch.zeros(2, requires_grad=True)

        def parameters(self):
            return [self.value]

    updates, mean = Updates(), 0.0
    average = _mean(updates, decay=largest)
    for step in range(12):
        with torch.no_grad():
            updates.value.fill_(float(step + 1))
        average.step(updates.parameters())
        decay = min(largest, (1 + step) / (10 + step)) if step else 0.0
        mean = decay * mean + (1 - decay) * (step + 1)
    average.copy_to(updates.parameters())
    assert updates.value.tolist() == pytest.approx([mean, mean])


class Interrupted(Exception):
    """The process of a fit dies."""


def interrupted_judge(*, after):
    """The steering judge of a fit whose process dies after some calls."""
    judge = CountedJudge("clip-xs", clip_xs())
    calls = itertools.count()
    group_logits = judge.group_logits

    def counted(pixels, groups):
        if next(calls) == after:
            raise Interrupted
        return group_logits(pixels, groups)

    judge.group_logits = counted
    return judge


@pytest.mark.slow
def test_an_interrupted_fit_resumes_and_ends_like_an_uninterrupted_one(model, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    suite = load_suite("mini")
    use = MethodUse("ft", Finetuning(**QUICK | {"steps": 4, "trained": "text_encoder", "ema": 0.9}))
    sampler = Sampler(model, suite.protocol)

    def run(folder, judge):
        sample = CountedSample(sampler, ImageStore(tmp_path / "images"), "t", Progress(quiet=True))
        return fit(use, suite=suite, concepts=("nurse", "mechanic"), sample=sample, judge=judge,
                   clip=load_scorer("mini"), folder=tmp_path / folder)  # fmt: skip

    whole = run("whole", CountedJudge("clip-xs", clip_xs()))
    with pytest.raises(Interrupted):
        run("cut", interrupted_judge(after=5))
    assert (tmp_path / "cut" / "checkpoint.pt").exists()
    judge = CountedJudge("clip-xs", clip_xs())
    resumed = run("cut", judge)
    assert resumed.intervention.digest() == whole.intervention.digest()
    assert resumed.intervention.record == whole.intervention.record
    assert (resumed.judgements, resumed.evaluations) == (whole.judgements, whole.evaluations)
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_errors_name_the_remedy(model, monkeypatch):
    with pytest.raises(EvenhandError, match=r"encoders=\[\]"):
        Finetuning(**QUICK).fit(task_on(model, clip=None))
    with pytest.raises(ValueError, match="fewest_draws 9 exceeds"):
        Finetuning(**{**QUICK, "fewest_draws": 9})
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(EvenhandError, match=r"pip install 'evenhand\[training\]'"):
        Finetuning(**QUICK).fit(task_on(model))
