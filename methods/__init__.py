"""Debiasing methods for text-to-image diffusion models.

A public module in a family folder is a method; a module named ``_name.py`` is a helper of that family.
Helpers of several families are in ``shared``. :mod:`evenhand.methods.base` defines the interface,
:mod:`evenhand.methods.hooks` what an intervention may do while images are denoised, and
:mod:`evenhand.methods.baseline` is the model without a method.

Families:
    weights: edit the cross-attention projections in closed form (MIST, UCE, TIME).
    embeddings: change the text embeddings (Debias-VL, EOS swap, FairImagen, CBC, ITI-GEN, FairQueue,
        Embedding Arithmetic).
    guidance: change the guided noise prediction (Fair Diffusion, Concept Algebra).
    prompts: rewrite the prompt (ENTIGEN, random and targeted attribute prompt, InterMit).
    activations: change activations of the U-Net (EquiSteer, SFID, Balancing Act, DiffLens,
        InterpretDiffusion, RespoDiff, EFA).
    finetuning: train the model (finetuning for fairness).
    sortition: Evenhand's own methods, on the text embeddings or the prompt.
"""
