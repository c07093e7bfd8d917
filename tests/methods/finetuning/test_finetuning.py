"""Finetuning is compared with scipy's transport, finite differences, peft's merge, and naive sums."""

import itertools

import numpy as np
import pytest
import torch
from helpers.methods import GENDER, JOINT
from scipy.optimize import linprog

from evenhand.bench.errors import EvenhandError
from evenhand.bench.mini.judges import clip_xs
from evenhand.bench.models.loading import load_model
from evenhand.bench.models.sampler import Sampler
from evenhand.bench.stages.fit import CountedJudge
from evenhand.bench.stages.resources import load_scorer
from evenhand.bench.suites.suite import Protocol
from evenhand.methods.base import Task
from evenhand.methods.finetuning._adjusted_sampling import coefficients, sample, solver
from evenhand.methods.finetuning._dynamic_targets import group_targets, target_shares
from evenhand.methods.finetuning._low_rank import low_rank
from evenhand.methods.finetuning.finetuning import Alignment, Finetuning

QUICK = {
    "prompts": ("a photo of {a} {concept}",),
    "judge": "clip-xs",
    "trained": "both",
    "rank": 2,
    "batch": 4,
    "steps": 2,
    "fewest_draws": 2,
    "most_draws": 2,
    "guidance": 2.5,
    "label_draws": 5,
    "ema": 0.0,
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def model():
    return load_model("mini")


def task_on(model, *, cells=GENDER, **more):
    return Task(
        model=model,
        concepts=("nurse", "mechanic"),
        cells=tuple(cells),
        target=np.full((2, len(cells)), 1 / len(cells)),
        rng=np.random.default_rng(0),
        sample=None,
        judge=CountedJudge("clip-xs", clip_xs()),
        clip=more.get("clip", load_scorer("mini")),
    )


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


@pytest.mark.slow
def test_the_loss_is_the_sum_of_its_parts(model):
    method = Finetuning(**{**QUICK, "preserve": 3.0, "most_uncertain": 1.0, "relax": {"gender": 0.25}})
    task = task_on(model, cells=JOINT)
    noise = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    prompt = "a photo of a nurse"
    with low_rank({"unet": model.unet}, rank=2, rng=np.random.default_rng(0)) as updates:
        with torch.no_grad():
            for parameter in updates.parameters():
                parameter.add_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.03
                )
        alignment = Alignment(method, task, updates)
        images = alignment.images(noise, prompt, 2)
        logs = alignment.log_marginals(images)
        cells = clip_xs().logits(
            images, [f"a photo of {a} {c.noun}" for a, c in zip(["a", "a", "an", "an"], JOINT, strict=True)]
        )
        p = cells.softmax(dim=1)
        torch.testing.assert_close(
            logs["gender"].exp(), torch.stack([p[:, [0, 2]].sum(1), p[:, [1, 3]].sum(1)], 1)
        )
        torch.testing.assert_close(logs["age"].exp(), torch.stack([p[:, :2].sum(1), p[:, 2:].sum(1)], 1))
        with updates.disabled():
            before = alignment.images(noise, prompt, 2)
        clip = load_scorer("mini")
        shown = {name: value.argmax(1).numpy() for name, value in alignment.log_marginals(before).items()}
        for gender, age in itertools.product([0, 1], repeat=2):
            targets = {
                "gender": (np.full(4, gender), np.ones(4, bool)),
                "age": (np.full(4, age), np.ones(4, bool)),
            }
            k = np.minimum(
                np.where(shown["gender"] == gender, 1, 0.25), np.where(shown["age"] == age, 1, 0.6)
            )
            away = 1 - (clip.features(images) * clip.features(before)).sum(1).detach().numpy()
            got = float(alignment.preservation(images, noise, prompt, 2, targets))
            assert got == pytest.approx(float((k * away).sum()), rel=1e-4)


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


@pytest.mark.slow
def test_a_mean_close_to_the_initial_updates_keeps_the_model(model):
    fitted = Finetuning(**{**QUICK, "ema": 1 - 1e-12, "preserve": 0.0, "trained": "text_encoder"}).fit(
        task_on(model)
    )
    encoder = dict(model.text_encoders[0][1].named_parameters())
    for name, value in fitted.weights.items():
        torch.testing.assert_close(value, encoder[name.removeprefix("text_encoder.")], atol=1e-6, rtol=0)


def test_errors_name_the_remedy(model, monkeypatch):
    with pytest.raises(EvenhandError, match="preserve=0"):
        Finetuning(**QUICK).fit(task_on(model, clip=None))
    with pytest.raises(ValueError, match="fewest_draws 9 exceeds"):
        Finetuning(**{**QUICK, "fewest_draws": 9})
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(EvenhandError, match=r"pip install 'evenhand\[training\]'"):
        Finetuning(**QUICK).fit(task_on(model))
