"""The shared training loop: its draws, its noise and its optimiser against references."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from evenhand.bench.errors import EvenhandError
from evenhand.bench.models.loading import load_model
from evenhand.methods.shared.training import course, gaussian, noised, one_thread, random_timesteps, train


@pytest.fixture(scope="module")
def mini():
    return load_model("mini")


def quadratic(x, wanted):
    return lambda step: (x - wanted).pow(2).sum()


def test_noise_is_added_as_diffusers_adds_it(mini):
    rng = np.random.default_rng(0)
    clean, noise = gaussian(rng, (4, 4, 16, 16), mini), gaussian(rng, (4, 4, 16, 16), mini)
    timesteps = torch.tensor([0, 1, 500, 999])
    wanted = DDPMScheduler.from_config(mini.scheduler.config).add_noise(clean, noise, timesteps)
    torch.testing.assert_close(noised(mini, clean, timesteps, noise), wanted)


def test_timesteps_cover_the_schedule_and_come_from_the_stream(mini):
    drawn = random_timesteps(np.random.default_rng(3), 20_000, mini)
    assert torch.equal(drawn, random_timesteps(np.random.default_rng(3), 20_000, mini))
    assert drawn.min() == 0 and drawn.max() == 999
    assert abs(drawn.float().mean() - 499.5) < 10


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_adam_written_out(decay):
    start, wanted, rate = np.array([3.0, -2.0]), np.array([1.0, 1.0]), 0.05
    x = torch.from_numpy(start.copy())
    losses = train([x], quadratic(x, torch.from_numpy(wanted)), steps=20, learning_rate=rate, decay=decay)
    y, m, v = start.copy(), 0.0, 0.0
    for step in range(1, 21):
        assert losses[step - 1] == pytest.approx(((y - wanted) ** 2).sum())
        g = 2 * (y - wanted)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        y = y * (1 - rate * decay)
        y = y - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(x.numpy(), y, rtol=1e-9)
    assert not x.requires_grad and x.grad is None


def test_a_parameter_stays_in_steps_whose_loss_leaves_it_out():
    x, y = torch.ones(2), torch.ones(2)
    train([x, y], lambda step: (x if step % 2 else y).pow(2).sum(), steps=1, learning_rate=0.1)
    assert torch.equal(x, torch.ones(2)) and not torch.equal(y, torch.ones(2))


def test_the_rate_may_change_from_step_to_step():
    x = torch.ones(2)
    train([x], quadratic(x, torch.zeros(2)), steps=5, learning_rate=lambda step: 0.1 if step == 0 else 0.0)
    torch.testing.assert_close(x, torch.full((2,), 0.9))


def test_threads_are_one_within_and_restored_after_an_error():
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

        @one_thread()
        def threads():
            return torch.get_num_threads()

        assert [threads(), threads(), torch.get_num_threads()] == [1, 1, 2]
    finally:
        torch.set_num_threads(before)


def test_training_works_where_the_caller_switched_gradients_off():
    x = torch.ones(2)
    with torch.no_grad():
        losses = train([x], quadratic(x, torch.zeros(2)), steps=50, learning_rate=0.05)
    assert course(losses)["last_loss"] < 0.1 * course(losses)["first_loss"]


def test_the_course_compares_the_first_tenth_with_the_last():
    assert course(list(range(20))) == {"steps": 20, "first_loss": 0.5, "last_loss": 18.5}
    assert course([2.0]) == {"steps": 1, "first_loss": 2.0, "last_loss": 2.0}
