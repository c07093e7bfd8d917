"""The shared training loop: draws, noise and optimizer are compared with references."""

import copy
import itertools

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.methods.shared.training import (
    RandomState,
    Series,
    converged,
    course,
    curve,
    gaussian,
    noised,
    one_thread,
    random_timesteps,
    train,
)


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def quadratic(x, expected):
    return lambda step: (x - expected).pow(2).sum()


def test_noise_is_added_like_in_diffusers(mini):
    rng = np.random.default_rng(0)
    clean, noise = gaussian(rng, (4, 4, 16, 16), mini), gaussian(rng, (4, 4, 16, 16), mini)
    timesteps = torch.tensor([0, 1, 500, 999])
    expected = DDPMScheduler.from_config(mini.scheduler.config).add_noise(clean, noise, timesteps)
    torch.testing.assert_close(noised(mini, clean, timesteps, noise), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_noise_has_its_full_size_in_half_precision(mini, dtype):
    """At the first timesteps, where ``1 - abar`` itself cannot be represented."""
    timesteps = torch.tensor([0, 2, 10, 100])
    clean, noise = torch.zeros(4, 1, 1, 1, dtype=dtype), torch.ones(4, 1, 1, 1, dtype=dtype)
    expected = (1 - mini.alphas_cumprod[timesteps].double()).sqrt()
    got = noised(mini, clean, timesteps, noise).double().flatten()
    torch.testing.assert_close(got, expected, rtol=torch.finfo(dtype).eps, atol=0)


def test_timesteps_cover_the_schedule_and_come_from_the_random_stream(mini):
    drawn = random_timesteps(np.random.default_rng(3), 20_000, mini)
    assert torch.equal(drawn, random_timesteps(np.random.default_rng(3), 20_000, mini))
    assert drawn.min() == 0 and drawn.max() == 999
    assert abs(drawn.float().mean() - 499.5) < 10


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_training_steps_equal_adam_written_out(decay):
    start, expected, rate = np.array([3.0, -2.0]), np.array([1.0, 1.0]), 0.05
    x = torch.from_numpy(start.copy())
    losses = train([x], quadratic(x, torch.from_numpy(expected)), steps=20, learning_rate=rate, decay=decay)
    y, m, v = start.copy(), 0.0, 0.0
    for step in range(1, 21):
        assert losses[step - 1] == pytest.approx(((y - expected) ** 2).sum())
        g = 2 * (y - expected)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        y = y * (1 - rate * decay)
        y = y - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(x.numpy(), y, rtol=1e-9)
    assert not x.requires_grad and x.grad is None


def test_a_parameter_that_the_loss_does_not_use_is_not_changed():
    x, y = torch.ones(2), torch.ones(2)
    train([x, y], lambda step: (x if step % 2 else y).pow(2).sum(), steps=1, learning_rate=0.1)
    assert torch.equal(x, torch.ones(2)) and not torch.equal(y, torch.ones(2))


def test_the_learning_rate_may_change_between_steps():
    x = torch.ones(2)
    train([x], quadratic(x, torch.zeros(2)), steps=5, learning_rate=lambda step: 0.1 if step == 0 else 0.0)
    torch.testing.assert_close(x, torch.full((2,), 0.9))


def test_one_thread_is_used_and_threads_and_parameters_are_restored_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(EvenhandError, match="training diverged: loss nan at step 1"):
            train(
                [x := torch.ones(1)],
                lambda step: x.sum() * (np.nan if step else 1),
                steps=3,
                learning_rate=0.1,
            )
        assert torch.get_num_threads() == 2
        assert not x.requires_grad and x.grad is None

        @one_thread()
        def threads():
            return torch.get_num_threads()

        assert [threads(), threads(), torch.get_num_threads()] == [1, 1, 2]
    finally:
        torch.set_num_threads(before)


def test_training_works_if_the_caller_disabled_gradients():
    x = torch.ones(2)
    with torch.no_grad():
        losses = train([x], quadratic(x, torch.zeros(2)), steps=50, learning_rate=0.05)
    assert course(losses)["last_loss"] < 0.1 * course(losses)["first_loss"]


def test_the_summary_compares_the_first_tenth_of_the_losses_with_the_last():
    assert course(list(range(20))) == {"steps": 20, "first_loss": 0.5, "last_loss": 18.5}
    assert course([2.0]) == {"steps": 1, "first_loss": 2.0, "last_loss": 2.0}


class Kept:
    """A checkpoint in memory, due at every step."""

    def __init__(self):
        self.state = None

    def due(self):
        return True

    def save(self, state):
        self.state = copy.deepcopy(dict(state))

    def load(self):
        return self.state


def test_an_interrupted_training_resumes_and_ends_like_an_uninterrupted_one():
    def run(kept, *, dies=None):
        rng, x, rows = np.random.default_rng(0), torch.ones(3), Series()

        def loss(step):
            if step == dies:
                raise KeyboardInterrupt
            rows.append([float(step)])
            return (x - torch.from_numpy(rng.standard_normal(3))).pow(2).sum()

        losses = train(
            [x],
            loss,
            steps=9,
            learning_rate=lambda step: 0.1 / (1 + step),
            checkpoint=kept,
            state=(RandomState(rng), rows),
        )
        return x, losses, rows, rng.integers(1000)

    whole, kept = run(None), Kept()
    with pytest.raises(KeyboardInterrupt):
        run(kept, dies=5)
    resumed = run(kept)
    assert torch.equal(whole[0], resumed[0]) and whole[1:] == resumed[1:]
    assert [step for (step,) in resumed[2]] == list(range(9))


def test_a_training_stops_once_its_loss_does_not_fall():
    x = torch.zeros(1)
    losses = train([x], lambda step: x.sum() * 0 + max(10 - step, 4), steps=50, learning_rate=0.1, patience=4)
    # Means of four: 8.5, 4.75, 4.0, 4.0.
    assert len(losses) == 16
    assert not converged(losses[:12], 4) and not converged(losses, 0)


def test_the_update_of_a_step_is_followed_by_a_call():
    x, seen = torch.ones(1), []
    train([x], lambda step: x.sum(), steps=3, learning_rate=0.5, after_step=lambda: seen.append(x.item()))
    assert seen == pytest.approx([0.5, 0.0, -0.5], abs=1e-6)


def test_the_curve_of_the_losses_has_few_points():
    assert curve(list(range(40)), points=4) == [4.5, 14.5, 24.5, 34.5]
    assert curve([3.0, 1.0]) == [3.0, 1.0]


def small_gradient(x):
    """A loss whose gradient, one in ten million at every element, is below the range of ``float16``."""
    small = torch.tensor(1e-4, dtype=torch.float16)
    return lambda step: ((x.half() * small).float() * 1e-4).sum()


def test_small_gradients_are_not_lost_in_half_precision():
    x, lost = torch.ones(3), torch.ones(3)
    train([x], small_gradient(x), steps=4, learning_rate=0.1, precision=torch.float16)
    exact = torch.ones(3)
    train([exact], lambda step: (exact * 1e-8).sum(), steps=4, learning_rate=0.1)
    train([lost], small_gradient(lost), steps=4, learning_rate=0.1)
    torch.testing.assert_close(x, exact, rtol=1e-3, atol=0)
    assert torch.equal(lost, torch.ones(3)), "without the scale nothing is learned"


def test_gradients_that_overflow_lower_the_scale_and_skip_the_step():
    x = torch.ones(3)
    large = lambda step: ((x.half() * 100).float() * 10).sum()  # noqa: E731
    losses = train([x], large, steps=20, learning_rate=0.01, precision=torch.float16)
    applied = sum(1 for before, after in itertools.pairwise(losses) if after < before)
    assert losses[0] == losses[1] and 0 < applied < 19


def test_gradients_that_are_never_finite_are_an_error():
    x = torch.zeros(3)
    with pytest.raises(EvenhandError, match=r"not finite at step 5; set precision"):
        train(
            [x],
            lambda step: x.half().sqrt().float().sum(),
            steps=5,
            learning_rate=0.1,
            precision=torch.float16,
        )


def test_an_interrupted_training_in_half_precision_resumes_with_its_scale():
    class Kept:
        found = None

        def due(self):
            return self.found is None

        def save(self, state):
            self.found = copy.deepcopy(state)

        def load(self):
            return self.found

    def loss_of(x):
        return lambda step: ((x.half() * 100).float() * 10).sum()

    kept, x, whole = Kept(), torch.ones(3), torch.ones(3)
    options = {"learning_rate": 0.01, "precision": torch.float16}
    expected = train([whole], loss_of(whole), steps=20, **options)
    train([x], loss_of(x), steps=20, checkpoint=kept, **options)
    again = torch.ones(3)
    assert train([again], loss_of(again), steps=20, checkpoint=kept, **options) == expected
    assert torch.equal(again, whole)
