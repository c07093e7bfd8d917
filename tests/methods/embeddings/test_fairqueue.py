"""FairQueue is ITI-GEN with a queue of prompts and amplified attention."""

import pytest
import torch
from helpers.iti_gen import METHOD, drawn, task_on
from helpers.methods import GENDER

from evenhand.methods.embeddings.fairqueue import FairQueue
from evenhand.methods.embeddings.iti_gen import ItiGen


@pytest.mark.slow
def test_fairqueue_is_iti_gen_with_a_queue_and_amplified_attention(model, sampler):
    few = {"images": 1, "epochs": 1, "steps": 1, "prompt": METHOD.prompt, "reference": METHOD.reference}
    iti = ItiGen(**few).fit(task_on(model, sampler, cells=GENDER))
    fair = FairQueue(**few).fit(task_on(model, sampler, cells=GENDER))
    assert torch.equal(iti.tensors["tokens"], fair.tensors["tokens"])
    assert (fair.data["queue"], fair.data["amplify"], len(fair.data["sites"])) == (
        0.2,
        10.0,
        len(drawn(sampler).sites()),
    )
    assert iti.data["sites"] == []
    assert "amplified" not in fair.data, "it would change the digests of earlier fits"
