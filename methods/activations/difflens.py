"""DiffLens: finds sparse bottleneck features that encode groups, and adds to those of a drawn group.

"Dissecting and Mitigating Diffusion Bias via Mechanistic Interpretability" (DiffLens), arXiv 2503.20483 (CVPR
2025), implemented from the formulas. Let ``h`` be the mid block's output, flattened, in the conditional half
of guidance. A k-sparse autoencoder over all steps, whose kernel covers the whole map,

    z = top_k(relu(E (h - b) + e)),      h^ = D z + b,      minimise ||h - h^||^2 / ||h - mean h||^2

has ``expansion * channels`` features, of which an image uses at most ``k``. With ``w_(t,g)`` the row of group
``g`` in a linear classifier of ``h`` at step ``t``, integrated gradients attribute to feature ``i`` its
contribution to distinguishing images of ``g`` from those of the other groups,

    A_(g,i) = sum_t max(0, mean z_i of group g - mean z_i of the other groups) <w_(t,g), d_i>

with ``d_i`` the feature's column of ``D``: the logit is linear in ``z``, so the integral is exact in one step
and the mean over pairs of images is the difference of the means. It is cut at zero, because a feature that
indicates ``g`` by its absence must not be increased for ``g``. The features of a group are those with the
largest ``A``. An image draws a group ``g`` of each attribute, and at every step, with ``a_g = amount * f_g``,

    z_new = z + a_g         on the features of g     ("add", the release's configuration for SD 1.5)
    z_new = (1 + a_g) z     on the features of g     ("scale", the release's configurations for faces)
    h <- h + D z_new - D z

so that only the difference is decoded, and what the autoencoder cannot reconstruct is unchanged. "add" moves
every image by the same vector; "scale" strengthens what an image already shows of the group.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, StringConstraints
from torch import Tensor

from evenhand.methods.activations._labelled import observe_cells
from evenhand.methods.activations.balancing_act import linear_classifier
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.hooks import Batch, Site, Steering, Step
from evenhand.methods.shared.group_assignment import Stated, assigned_groups, assignment_spec, group_words
from evenhand.methods.shared.training import course, one_thread, train
from evenhand.methods.space import Choice, Range, Space

SITE = "mid_block"

Template = Annotated[str, StringConstraints(pattern=r"\{adjective\}")]


@dataclass(frozen=True)
class SparseAutoencoder:
    """A k-sparse autoencoder of rows ``h``.

    Attributes:
        encoder: ``E``, ``(features, f)``.
        offset: ``e``, ``(features,)``.
        decoder: ``D``, ``(f, features)``.
        centre: ``b``, ``(f,)``.
        k: Largest number of features per row.
    """

    encoder: Tensor
    offset: Tensor
    decoder: Tensor
    centre: Tensor
    k: int

    def encode(self, h: Tensor) -> Tensor:
        """Sparse features ``(n, features)`` of rows ``(n, f)``: the ``k`` largest, none negative."""
        z = torch.relu((h - self.centre) @ self.encoder.T + self.offset)
        largest, where = z.topk(min(self.k, z.shape[1]), dim=1)
        return torch.zeros_like(z).scatter(1, where, largest)

    def decode(self, z: Tensor) -> Tensor:
        """Rows ``(n, f)`` of features ``(n, features)``."""
        return z @ self.decoder.T + self.centre

    def to(self, device: torch.device) -> SparseAutoencoder:
        """The same on a device."""
        return SparseAutoencoder(
            encoder=self.encoder.to(device),
            offset=self.offset.to(device),
            decoder=self.decoder.to(device),
            centre=self.centre.to(device),
            k=self.k,
        )


@dataclass(frozen=True, eq=False)
class DiffLensIntervention(Intervention):
    """Changes the features of drawn groups in the mid block.

    ``tensors`` for "add": ``push/ATTRIBUTE`` ``(groups, f)``, the sum of ``f_g d_i`` over each group's
    features; ``D z_new - D z`` is ``amount`` times that for every image and step, so ``D`` is not stored.
    For "scale": the autoencoder as ``encoder``, ``offset``, ``centre`` and ``decoder`` ``(f, u)``, the
    columns of the ``u`` features ``used`` by any group, and ``factor/ATTRIBUTE`` ``(groups, u)``, which is
    ``f_g`` on the features of the group and 0 elsewhere.
    """

    def sites(self) -> Sequence[str]:
        """The mid block."""
        return (SITE,)

    def steer(self, batch: Batch) -> Steering:
        """Draws one group of each attribute for every image."""
        scales = self.data.get("edit") == "scale"
        assigned = {
            attribute: torch.tensor(groups)
            for attribute, groups in assigned_groups(batch, self.data["wishes"]).items()
        }
        of_groups = torch.stack(
            [
                self.tensors[f"{'factor' if scales else 'push'}/{attribute}"][groups.clamp_min(0)]
                * (groups >= 0)[:, None]
                for attribute, groups in assigned.items()
            ]
        ).sum(dim=0)
        treated = torch.stack([groups >= 0 for groups in assigned.values()]).any(dim=0)
        active, amount = self.data.get("active", 1.0), self.data["amount"]
        if scales:
            sparse = SparseAutoencoder(
                **{name: self.tensors[name] for name in ("encoder", "offset", "decoder", "centre")},
                k=self.data["k"],
            )
            return _Scale(treated, active, amount * of_groups, sparse, self.tensors["used"])
        return _Add(treated, active, amount * of_groups)


@dataclass
class _Change(Steering):
    """Adds :meth:`change` to the conditional ``h`` of treated images in the first steps."""

    treated: Tensor
    active: float

    def feature(self, step: Step, site: Site, output: Tensor) -> Tensor:
        """The mid block's output with changed features."""
        if step.index >= math.ceil(self.active * step.count):
            return output
        n = len(self.treated)
        h = output[n : 2 * n]
        moved = h + self.change(h).reshape(h.shape)
        rows = self.treated.to(h.device)[:, None, None, None]
        return torch.cat([output[:n], torch.where(rows, moved, h), output[2 * n :]])

    @abstractmethod
    def change(self, h: Tensor) -> Tensor:
        """``D z_new - D z``, ``(n, f)``."""


@dataclass
class _Add(_Change):
    shift: Tensor

    def change(self, h: Tensor) -> Tensor:
        """The drawn groups' sums of columns."""
        return self.shift.to(h)


@dataclass
class _Scale(_Change):
    factor: Tensor
    sparse: SparseAutoencoder
    used: Tensor

    def change(self, h: Tensor) -> Tensor:
        """``D a_g z`` on the features of the drawn groups."""
        # Kept on the device: the encoder is large, and every step needs it.
        self.sparse, self.used = self.sparse.to(h.device), self.used.to(h.device)
        z = self.sparse.encode(h.flatten(start_dim=1).float())[:, self.used]
        return ((self.factor.to(z) * z) @ self.sparse.decoder.to(z).T).to(h.dtype)


class DiffLens(Method):
    """DiffLens on the mid block.

    Attributes:
        subjects: Nouns of the training prompts; the treated concepts if empty.
        templates: Templates of the training prompts, with ``{a}``, ``{adjective}`` and ``{concept}``.
        images: Images of each cell on which autoencoder and classifiers are trained.
        expansion: Features of the autoencoder per channel of the mid block; released: 8 where images are
            generated, which is the default, and 4 where the autoencoder is trained.
        k: Largest number of features per image and step; released: 1024, a tenth of the features of SD 1.5.
        epochs: Passes over all images and steps when the autoencoder is trained.
        batch: Rows per training step.
        learning_rate: Learning rate.
        unit_norm: Whether the columns of ``D`` are rescaled to unit norm before every training step, as
            released.
        penalty: Weight of the classifiers' squared norm relative to the sum of their losses.
        features: Features per group; the released example has 10 for young faces and 30 for old ones.
        edit: Whether ``amount`` is added to the features (``add``, released for SD 1.5), or they are
            multiplied by one plus ``amount`` (``scale``, released for a model of faces).
        amount: Change of each feature; released: 30 for young faces and 50 for old ones if added; 2, which is
            the factor 3, for old faces if scaled.
        amounts: Group to a factor on ``amount``, 1 for groups that are not named; the released example is
            ``amount`` 50 with 0.6 for young faces, 0 for adult and 1 for old ones.
        active: Share of the steps, from the first, in which features are changed; released: all.
        stated: Assignment of an attribute that the prompt states: ``draw`` a group, as released, ``leave`` it
            unchanged, or ``follow`` the stated group.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="difflens",
        version="1.0",
        title="DiffLens",
        summary="Adds to or scales the sparse bottleneck features that encode a drawn group.",
        paper="https://arxiv.org/abs/2503.20483",
        licence="Apache-2.0",
        origin="foundation-model-research/DiffLens, no licence; reimplemented from the formulas",
        family="activations",
        architectures=("sd1", "sd2", "sdxl"),
        attributes="any that words can express; joint cells with the features of their groups",
    )
    intervention_type: ClassVar[type[Intervention]] = DiffLensIntervention
    strength: ClassVar[str | None] = "amount"
    training_length: ClassVar[tuple[str, ...]] = ("images", "epochs")

    subjects: tuple[str, ...] = ()
    templates: tuple[Template, ...] = Field(default=("a photo of {a} {adjective} {concept}",), min_length=1)
    images: int = Field(default=1000, ge=2)
    expansion: int = Field(default=8, ge=1)
    k: int = Field(default=1024, ge=1)
    epochs: int = Field(default=50, ge=1)
    batch: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    unit_norm: bool = True
    penalty: float = Field(default=1.0, gt=0)
    features: int = Field(default=10, ge=1)
    edit: Literal["add", "scale"] = "add"
    amount: float = Field(default=30.0, ge=0)
    amounts: Mapping[str, Annotated[float, Field(ge=0)]] = {}
    active: float = Field(default=1.0, gt=0, le=1)
    stated: Stated = "draw"

    @classmethod
    def space(cls) -> Space:
        """The edit, its strength and duration; the features, their sparsity and the images they come from."""
        return {
            "edit": Choice(("add", "scale")),
            "amount": Range(low=0.5, high=100.0, log=True),
            "active": Range(low=0.5, high=1.0),
            "features": Range(low=1, high=100, log=True, integer=True),
            "k": Range(low=16, high=1024, log=True, integer=True),
            "images": Range(low=4, high=1000, log=True, integer=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The training images."""
        return Budget(images=self.images * len(cells))

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Train the autoencoder and the classifiers, and locate the features of every group."""
        seen = observe_cells(
            task,
            templates=self.templates,
            subjects=self.subjects,
            images=self.images,
            sites=[SITE],
            reduce=lambda step, site, h: h.flatten(start_dim=1).float(),
        )
        h = seen.features[SITE]
        channels = task.model.unet.config.block_out_channels[-1]
        sparse, losses = self._autoencoder(
            h.flatten(end_dim=1), self.expansion * channels, task.rng, device=task.model.unet.device
        )
        z = sparse.encode(h.flatten(end_dim=1)).reshape(*h.shape[:2], -1)
        located = {}
        for attribute, groups in seen.groups.items():
            found = attributions(h, z, groups, sparse.decoder, self.penalty)
            located[attribute] = found.topk(min(self.features, found.shape[1]), dim=1).indices
        names = {attribute: list(words) for attribute, words in group_words(task.cells).items()}
        return DiffLensIntervention(
            tensors=self._tensors(sparse, located, names),
            data={
                "wishes": assignment_spec(task, stated=self.stated),
                "amount": self.amount,
                # Only where they differ, so that earlier fits keep their digest.
                **({"active": self.active} if self.active < 1 else {}),
                **({"edit": self.edit, "k": self.k} if self.edit == "scale" else {}),
            },
            record={"features": {name: of.tolist() for name, of in located.items()}, **course(losses)},
        )

    def _tensors(
        self, sparse: SparseAutoencoder, located: Mapping[str, Tensor], names: Mapping[str, Sequence[str]]
    ) -> dict[str, Tensor]:
        """The tensors of the intervention.

        Args:
            sparse: The autoencoder.
            located: Attribute to the features of its groups, ``(groups, features)``.
            names: Attribute to its groups.
        """
        factors = {name: [self.amounts.get(group, 1.0) for group in groups] for name, groups in names.items()}
        if self.edit == "add":
            return {
                f"push/{name}": torch.stack(
                    [f * sparse.decoder[:, of].sum(dim=1) for f, of in zip(factors[name], found, strict=True)]
                )
                for name, found in located.items()
            }
        used = torch.from_numpy(np.unique(np.concatenate([found.flatten() for found in located.values()])))
        return {
            "encoder": sparse.encoder,
            "offset": sparse.offset,
            "centre": sparse.centre,
            "decoder": sparse.decoder[:, used].contiguous(),
            "used": used,
        } | {
            f"factor/{name}": torch.stack(
                [f * torch.isin(used, of) for f, of in zip(factors[name], found, strict=True)]
            )
            for name, found in located.items()
        }

    def _autoencoder(
        self, rows: Tensor, features: int, rng: np.random.Generator, *, device: torch.device
    ) -> tuple[SparseAutoencoder, list[float]]:
        """The autoencoder of rows ``(n, f)``, and its losses: the share of variance not reconstructed.

        Trained on ``device``, batch by batch, because all rows would not fit on it; returned on the CPU.
        """
        width = rows.shape[1]
        # Unit-norm columns and a tied encoder: a common initialization that leaves few features dead.
        drawn = torch.from_numpy(rng.standard_normal((width, features), dtype=np.float32))
        decoder = torch.nn.functional.normalize(drawn, dim=0)
        centre = rows.mean(dim=0)
        variance = (rows - centre).square().sum(dim=1).mean()
        untrained = SparseAutoencoder(
            decoder.T.clone(), torch.zeros(features), decoder, centre.clone(), self.k
        )
        sparse = untrained.to(device)
        each = -(-len(rows) // self.batch)
        order = np.concatenate([rng.permutation(len(rows)) for _ in range(self.epochs)])

        def loss(step: int) -> Tensor:
            if self.unit_norm:
                with torch.no_grad():
                    sparse.decoder.div_(sparse.decoder.norm(dim=0))
            epoch, part = divmod(step, each)
            start = epoch * len(rows) + part * self.batch
            stop = min(start + self.batch, (epoch + 1) * len(rows))
            h = rows[torch.from_numpy(order[start:stop])].to(device)
            return (h - sparse.decode(sparse.encode(h))).square().sum(dim=1).mean() / variance

        parameters = [sparse.encoder, sparse.offset, sparse.decoder, sparse.centre]
        losses = train(parameters, loss, steps=self.epochs * each, learning_rate=self.learning_rate)
        return sparse.to(rows.device), losses


def attributions(h: Tensor, z: Tensor, groups: NDArray[np.int64], decoder: Tensor, penalty: float) -> Tensor:
    """``A``: contribution of every feature to distinguishing each group, ``(groups, features)``.

    Args:
        h: ``(n, steps, f)``.
        z: Sparse features of ``h``, ``(n, steps, features)``.
        groups: Group of every image, ``(n,)``; every group occurs.
        decoder: ``D``, ``(f, features)``.
        penalty: Penalty of the classifiers.
    """
    of = torch.from_numpy(groups)
    total = torch.zeros(int(of.max()) + 1, decoder.shape[1])
    for step in range(h.shape[1]):
        weight, _ = linear_classifier(h[:, step].numpy(), groups, penalty)
        gap = [z[of == g, step].mean(dim=0) - z[of != g, step].mean(dim=0) for g in range(len(total))]
        total += torch.stack(gap).clamp_min(0) * (torch.from_numpy(weight) @ decoder)
    return total
