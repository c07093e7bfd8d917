"""Finetuning is compared with scipy's transport, finite differences, peft's merge, and naive sums."""

import itertools

import numpy as np
import pytest
import torch
from helpers.finetuning import QUICK, aligned, certain, shown, task_on
from helpers.methods import GENDER, JOINT
from helpers.mini import labelled_people
from scipy.optimize import linprog

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
from evenhand.bench.suites.suite import Protocol, load_suite
from evenhand.methods.finetuning._adjusted_sampling import coefficients, sample, solver
from evenhand.methods.finetuning._dynamic_targets import group_targets, target_shares
from evenhand.methods.finetuning._low_rank import low_rank
from evenhand.methods.finetuning._preservation import Perceived
from evenhand.methods.finetuning.finetuning import Finetuning, _mean


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


def transport(cost, labels):
    """The transport plan between images of mass one and the labels' counts, as a linear program."""
    count, cells = cost.shape
    rows = [np.kron(np.eye(count)[n], np.ones(cells)) for n in range(count)]
    columns = [np.tile(np.eye(cells)[c], count) for c in range(cells)]
    wanted = [1.0] * count + [float((labels == c).sum()) for c in range(cells)]
    found = linprog(cost.reshape(-1), A_eq=np.array(rows + columns), b_eq=wanted)
    return found.x.reshape(count, cells), found.fun


def test_targets_are_optimal_transport_plans():
    rng = np.random.default_rng(1)
    marginals = [rng.dirichlet([0.5] * 2, size=7), rng.dirichlet([0.5] * 3, size=7)]
    groups = [np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2])]
    desired = np.full(6, 1 / 6)
    cost = np.empty((7, 6))
    for n, c in itertools.product(range(7), range(6)):
        apart = [
            ((p[n] - np.eye(p.shape[1])[g[c]]) ** 2).sum() for p, g in zip(marginals, groups, strict=True)
        ]
        cost[n, c] = np.sqrt(sum(apart))
    for seed in range(3):
        got = target_shares(marginals, groups, desired, draws=1, rng=np.random.default_rng(seed))
        labels = np.random.default_rng(seed).choice(6, size=7, p=desired)
        plan, least = transport(cost, labels)
        assert (cost * got).sum() == pytest.approx(least)
        np.testing.assert_allclose(got.sum(axis=0), plan.sum(axis=0), atol=1e-8)
        np.testing.assert_allclose(got.sum(axis=1), 1)
    many = target_shares(marginals, groups, desired, draws=40, rng=np.random.default_rng(0))
    np.testing.assert_allclose(many.sum(axis=1), 1)
    assert len(np.unique(many)) > 6


@pytest.mark.parametrize("desired", [0.5, 0.2])
def test_ranking_two_groups_equals_optimal_transport(desired):
    first = np.random.default_rng(3).uniform(size=9)
    marginals, groups = [np.column_stack([first, 1 - first])], [np.array([0, 1])]
    got = target_shares(
        marginals, groups, np.array([desired, 1 - desired]), draws=0, rng=np.random.default_rng(0)
    )
    rng = np.random.default_rng(4)
    cost = np.sqrt(((marginals[0][:, None] - np.eye(2)[None]) ** 2).sum(axis=2))
    plans = []
    for _ in range(400):
        labels = rng.choice(2, size=9, p=[desired, 1 - desired])
        # the same transport without ranks: the largest gain of the first group comes first
        order = np.argsort(cost[:, 0] - cost[:, 1])
        plan = np.zeros((9, 2))
        plan[order, np.where(np.arange(9) < (labels == 0).sum(), 0, 1)] = 1
        plans.append(plan)
    np.testing.assert_allclose(got, np.mean(plans, axis=0), atol=0.09)
    one = transport(cost, np.array([0] * 4 + [1] * 5))[0]
    assert set(np.flatnonzero(one[:, 0] > 0.5)) == set(np.argsort(-first)[:4])


def test_the_first_group_may_belong_to_the_second_cell():
    marginals, groups = [np.array([[0.9, 0.1], [0.2, 0.8]])], [np.array([1, 0])]
    got = target_shares(marginals, groups, np.array([0.5, 0.5]), draws=0, rng=np.random.default_rng(0))
    group, certain = group_targets(got, groups[0], most_uncertain=0.3)
    assert group.tolist() == [0, 1] and certain.all()


def test_uncertain_targets_do_not_count():
    shares = np.array([[0.5, 0.4, 0.1], [0.1, 0.05, 0.85]])
    group, certain = group_targets(shares, np.array([0, 0, 1]), most_uncertain=0.1)
    assert group.tolist() == [0, 1] and certain.tolist() == [True, False]


def test_coefficients_equal_the_formula_with_geometric_mean_one(model):
    bars = model.alphas_cumprod.double().numpy()
    got = coefficients(model.alphas_cumprod, [999, 500, 20, 1])
    wanted = [
        np.sqrt(bars[t]) * np.sqrt(1 - bars[t]) / (1 - bars[t] / bars[t - 1]) for t in (999, 500, 20, 1)
    ]
    np.testing.assert_allclose(got, np.array(wanted) / np.prod(wanted) ** 0.25, rtol=1e-6)
    assert np.prod(got) == pytest.approx(1)


class Scripted:
    """A model whose prediction is a trained number per timestep, times a detached function of the latents."""

    def __init__(self, model, offsets):
        self.scheduler, self.alphas_cumprod, self.unet = model.scheduler, model.alphas_cumprod, model.unet
        self.offsets, self.order, self.calls = offsets, {}, []

    def predict(self, latents, timesteps, text):
        self.calls.append(latents.requires_grad)
        place = self.order[int(timesteps[0])]
        return (latents * latents).sin() * 0.1 + self.offsets[place]


def test_the_gradient_is_the_solver_weight_times_the_coefficient(model):
    """The weight of each prediction in the result, by finite differences with the others fixed."""
    offsets = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    scripted = Scripted(model, offsets)
    timesteps = [int(t) for t in solver(model, 3).timesteps]
    scripted.order = {t: number for number, t in enumerate(timesteps)}
    noise = torch.randn(1, 4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    text = model.encode(["a nurse"])
    sample(scripted, noise, text, text, steps=3, guidance=2.5).sum().backward()
    assert not any(scripted.calls)

    def result(predictions):
        scheduler, latents = solver(model, 3), noise
        for t, prediction in zip(timesteps, predictions, strict=True):
            latents = scheduler.step(prediction, t, latents).prev_sample
        return float(latents.sum())

    wanted = []
    for place, factor in enumerate(coefficients(model.alphas_cumprod, timesteps)):
        moved = [[torch.full_like(noise, sign * 0.5 * (place == n)) for n in range(3)] for sign in (1, -1)]
        wanted.append(factor * (result(moved[0]) - result(moved[1])))
    np.testing.assert_allclose(offsets.grad.numpy(), wanted, rtol=1e-6)


def test_sampling_for_training_equals_the_sampling_of_the_engine(model):
    protocol = Protocol(
        version="t", solver="dpmsolver++", steps=3, guidance=2.5, width=64, height=64, batch=2
    )
    wanted = Sampler(model, protocol)(["a photo of a nurse"] * 2, [1, 2])
    noise = torch.stack(
        [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    )
    with torch.no_grad():
        text, uncond = model.encode(["a photo of a nurse"] * 2), model.encode([""] * 2)
        latents = sample(model, noise, text, uncond, steps=3, guidance=2.5)
        images = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    got = images.clamp(-1, 1).add(1).mul(127.5).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(got - wanted).max() <= 1


def test_updates_merge_like_in_peft_and_are_removed_afterwards(model):
    networks = {"unet": model.unet, "text_encoder": model.text_encoders[0][1]}
    before = {part: dict(network.state_dict()) for part, network in networks.items()}
    kinds = [type(module) for network in networks.values() for module in network.modules()]
    original = model.encode_uncached(["a nurse"]).states
    with low_rank(networks, rank=3, rng=np.random.default_rng(0)) as updates:
        same = updates.merged()
        assert all(torch.equal(value, before[name.partition(".")[0]][name.partition(".")[2]])
                   for name, value in same.items())  # fmt: skip
        with torch.no_grad():
            for parameter in updates.parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.02
                )
        merged = updates.merged()
        with_updates = model.encode_uncached(["a nurse"]).states
        with updates.disabled():
            assert torch.equal(model.encode_uncached(["a nurse"]).states, original)
        for part, tuner in updates._tuners.items():
            layer = next(module for module in tuner.modules() if hasattr(module, "lora_A"))
            name = next(n for n, m in tuner.model.named_modules() if m is layer)
            kept = layer.base_layer.weight.detach().clone()
            layer.merge()
            torch.testing.assert_close(merged[f"{part}.{name}.weight"], layer.base_layer.weight.data)
            layer.unmerge()
            layer.base_layer.weight.data.copy_(kept)
    assert [type(module) for network in networks.values() for module in network.modules()] == kinds
    for part, network in networks.items():
        assert network.state_dict().keys() == before[part].keys()
        assert all(torch.equal(value, before[part][name]) for name, value in network.state_dict().items())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    with model.edited(merged):
        torch.testing.assert_close(
            model.encode_uncached(["a nurse"]).states, with_updates, atol=1e-5, rtol=1e-4
        )
    assert any(".attn1." in name for name in merged) and any("mlp.fc1" in name for name in merged)


@pytest.mark.slow
def test_initial_updates_come_from_the_random_stream_of_the_task(model):
    def start(seed):
        with low_rank({"unet": model.unet}, rank=2, rng=np.random.default_rng(seed)) as updates:
            return torch.cat([parameter.detach().flatten() for parameter in updates.parameters()])

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = start(0)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, start(0)) and not torch.equal(first, start(1))


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
