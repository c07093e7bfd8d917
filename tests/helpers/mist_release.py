"""MIST's released algorithm, implemented naively from its formulas."""

import torch
from helpers.methods import relative_error


def released_rounds(model, texts, cells, rounds, *, lam=0.5, mu=0.2, tolerance=0.05, aliased=True):
    """The released algorithm with loops, an explicit inverse, and an in-place running target.

    ``rounds`` holds the measured ratios of every text, round by round.
    """
    weights, preserved = model.cross_attention(), [""]

    def eos(text):
        encoded = model.encode([text])
        return encoded.states[0, encoded.first_eos[0]]

    for ratios in rounds:
        alphas = []
        for ratio in ratios:
            difference = [1 / len(cells) - r for r in ratio]
            converged = max(abs(x) for x in difference) <= tolerance
            alphas.append([0.0 if converged else 0.1 * x for x in difference])
        preserved = sorted({*preserved, *(text for text, a in zip(texts, alphas, strict=True) if a[0] == 0)})
        for name, weight in weights.items():
            a, m = lam * weight, lam * torch.eye(weight.shape[1], dtype=weight.dtype)
            for text, alpha in zip(texts, alphas, strict=True):
                c = eos(text)
                target = weight @ c
                fixed = target.norm()
                for step, cell in zip(alpha, cells, strict=True):
                    g = weight @ eos(cell.noun)
                    target += step * (target.norm() if aliased else fixed) * g / g.norm()
                a = a + torch.outer(target, c)
                m = m + torch.outer(c, c)
            for text in preserved:
                for p in model.encode([text]).states[0]:
                    a = a + mu * torch.outer(weight @ p, p)
                    m = m + mu * torch.outer(p, p)
            weights[name] = a @ torch.linalg.inv(m)
    return weights


def total_edit(intervention, model):
    return {name: weight - model.weights[name] for name, weight in intervention.weights.items()}


def assert_same_edit(intervention, expected, model, bound=1e-9):
    for name, edit in total_edit(intervention, model).items():
        assert relative_error(edit, expected[name] - model.weights[name]) < bound, name
