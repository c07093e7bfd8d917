"""ITI-GEN: learns prompt tokens that move texts in CLIP's space as images of the groups move.

Zhang, Chen, Chai, Wu, Lagun, Beeler, De la Torre: "ITI-GEN: Inclusive Text-to-Image Generation", ICCV 2023,
arXiv 2309.05569; details as in the released code (humansensinglab/ITI-GEN). Every group ``k`` of an attribute
``m`` has ``q`` learned tokens ``S_k^m`` ``(q, d)``, initially zero. Those of a cell ``c`` are the sum over
its attributes; they overwrite the rows of the text encoder's input from the first end-of-text token ``e`` on,
and the text feature is taken after them:

    t_c = normalise( P E(prompt; rows e .. e+q-1 <- sum_m S^m_c(m))_(e+q) )

With unit features ``v`` of reference images, a random batch per step, and pairs of groups ``i, j`` of the
attribute ``m`` in training,

    L_dir  = mean over o:  1 - cos( mean v_i - mean v_j,  t_(i,o) - t_(j,o) )
    L_cons = mean over o:  relu( 0.8 - (cos(t_0, t_(i,o)) + cos(t_0, t_(j,o))) / 2 )
    L_m    = sum over pairs (L_dir + L_cons) / (K_m - 1)

where ``o`` runs over the combinations of the other attributes and ``t_0`` is the feature of the prompt
without tokens. If a direction is undefined, because a group is missing in the batch or both texts are still
equal, as at the start, ``1 - mean cos(v, t)`` over images and texts of the same group replaces ``L_dir``. The
attributes are trained in turn with Adam, one step each. Tokens learned on one prompt can be inserted into any
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, StringConstraints
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from evenhand.bench.errors import EvenhandError
from evenhand.methods.base import Budget, Cell, Intervention, Method, MethodInfo, Task
from evenhand.methods.embeddings._learned_tokens import LearnedTokens, insert
from evenhand.methods.shared.prompt_text import fill
from evenhand.methods.shared.training import course, one_thread, train
from evenhand.methods.space import Range, Space


class ItiGen(Method):
    """ITI-GEN with the released parameters.

    Attributes:
        prompt: The text on which the tokens are learned.
        reference: Template of the reference images' prompts, with ``{a}``, ``{adjective}`` or ``{noun}``, and
            ``{concept}``, which becomes ``person``.
        images: Smallest number of reference images per group; spread evenly over the cells.
        length: Learned tokens ``q`` per prompt.
        epochs: Passes over the reference images per attribute.
        steps: Steps per epoch and attribute, each with its share of the images.
        learning_rate: Learning rate.
        halve_after: Epochs after which the learning rate is halved, once.
        consistency: Mean cosine of original and learned text features above which ``L_cons`` is zero.
        turns: Whether the attributes take turns at every ``step``, as released, or at every ``epoch``.
        queue: Share of the denoising steps, from the first, with the original prompt; 0 in ITI-GEN.
        amplify: Factor on the attention to the learned tokens after the queue; 1 in ITI-GEN.
        amplified: What the factor acts on: all learned ``tokens``, or the row at their ``end``, from which
            the text feature is taken.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="iti-gen",
        version="1.0",
        title="ITI-GEN",
        summary="Learns tokens per group from CLIP directions of images and inserts those of a drawn cell.",
        paper="https://arxiv.org/abs/2309.05569",
        licence="Apache-2.0",
        origin="humansensinglab/ITI-GEN, X11 licence with a CMU notice; reimplemented from the formulas",
        family="embedding",
        architectures=("sd1",),
        attributes="any that images show and CLIP represents, alone or as joint cells",
    )
    intervention_type: ClassVar[type[Intervention]] = LearnedTokens
    training_length: ClassVar[tuple[str, ...]] = ("images", "epochs")

    prompt: str = "a headshot of a person"
    reference: Annotated[str, StringConstraints(pattern=r"\{(noun|adjective)\}")] = "a headshot of {a} {noun}"
    images: int = Field(default=200, ge=1)
    length: int = Field(default=3, ge=1)
    epochs: int = Field(default=30, ge=1)
    steps: int = Field(default=5, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    halve_after: int = Field(default=10, ge=1)
    consistency: float = Field(default=0.8, ge=-1, le=1)
    turns: Literal["step", "epoch"] = "step"
    queue: float = Field(default=0.0, ge=0, le=1)
    amplify: float = Field(default=1.0, ge=0)
    amplified: Literal["tokens", "end"] = "tokens"

    @classmethod
    def space(cls) -> Space:
        """Length of the training, number of tokens, and how close the texts stay to the original prompt."""
        return {
            "learning_rate": Range(low=1e-3, high=0.1, log=True),
            "epochs": Range(low=10, high=100, log=True, integer=True),
            "length": Range(low=1, high=4, integer=True),
            "consistency": Range(low=0.5, high=0.95),
            "images": Range(low=20, high=200, log=True, integer=True),
        }

    def budget(self, *, concepts: int, cells: Sequence[Cell]) -> Budget:
        """The reference images; training only passes through the text encoder."""
        return Budget(images=len(cells) * self.images_per_cell(cells))

    def images_per_cell(self, cells: Sequence[Cell]) -> int:
        """Images per cell such that the group with the fewest cells has enough images."""
        groups = [group for cell in cells for group in cell.groups.items()]
        return -(-self.images // min(map(groups.count, groups)))

    @one_thread()
    def fit(self, task: Task) -> Intervention:
        """Generate reference images, learn the tokens, and store those of every cell.

        Raises:
            EvenhandError: The suite's CLIP is not the one whose text encoder the model has.
        """
        learner = Learner(self, task)
        losses = learner.learn()
        sites = [name for name, _ in task.model.unet.named_modules() if name.endswith("attn2")]
        return LearnedTokens(
            tensors={"tokens": learner.cell_tokens().float().cpu()},
            data={
                "target": dict(zip(task.concepts, task.target.tolist(), strict=True)),
                "queue": self.queue,
                "amplify": self.amplify,
                "sites": sites if self.amplify != 1 else [],
                # Only where it differs, so that earlier fits keep their digest.
                **({"amplified": self.amplified} if self.amplified != "tokens" else {}),
            },
            record=course(losses) if losses else {},
        )


class Learner:
    """One fit: the reference features, the tokens, and the losses.

    Attributes:
        groups: Attribute to the index of its group in every cell; attributes with one group have no tokens.
        tokens: Attribute to the tokens of its groups, ``(K_m, q, d)``.
        images: Features of the reference images of every cell, ``(K, r, p)``.
        original: Feature of the prompt without tokens, ``(p,)``.
    """

    def __init__(self, method: ItiGen, task: Task) -> None:
        self.method, self.task = method, task
        encoder = task.model.text_encoders[0][1]
        projection = None if task.clip is None else task.clip.text_projection(encoder)
        if projection is None:
            raise EvenhandError(
                f"method {method.info.name!r} compares texts and images by the CLIP whose text encoder "
                f"{task.model.name} has; use a suite whose 'scorer' is that CLIP"
            )
        self.projection = projection
        self.groups = _group_indices(task.cells)
        embeddings = encoder.get_input_embeddings().weight
        # In float32 whatever the precision of the encoder, in which small steps would be lost.
        self.tokens = {
            name: embeddings.new_zeros(
                (max(index) + 1, method.length, embeddings.shape[1]), dtype=torch.float32
            )
            for name, index in self.groups.items()
        }
        self.images = self._reference()
        states = task.model.encode([method.prompt])
        self.original = self._feature(states.at(states.first_eos))[0]

    def learn(self) -> list[float]:
        """Train the attributes in turn, epoch by epoch; the loss of every step."""
        method, names = self.method, list(self.groups)
        per_epoch = method.steps * len(names)
        batches: dict[str, Sequence[Tensor]] = {}

        def loss(number: int) -> Tensor:
            name, step = self._turn(number % per_epoch)
            if step == 0:
                order = self.task.rng.permutation(self.images.shape[0] * self.images.shape[1])
                batches[name] = torch.from_numpy(order).tensor_split(method.steps)
            return self.loss(name, batches[name][step])

        def learning_rate(number: int) -> float:
            return (
                method.learning_rate / 2
                if number // per_epoch >= method.halve_after
                else method.learning_rate
            )

        if not names:
            return []
        return train(
            list(self.tokens.values()),
            loss,
            steps=method.epochs * per_epoch,
            learning_rate=learning_rate,
            precision=self.task.model.unet.dtype,
        )

    def _turn(self, place: int) -> tuple[str, int]:
        """The attribute that is trained at a place within an epoch, and the number of its step."""
        names = list(self.groups)
        if self.method.turns == "step":
            step, number = divmod(place, len(names))
        else:
            number, step = divmod(place, self.method.steps)
        return names[number], step

    def loss(self, attribute: str, batch: Tensor) -> Tensor:
        """``L_m`` of an attribute on the images ``batch`` ``(b,)``, numbered cell by cell."""
        index = self.groups[attribute]
        texts = self.text_features(attribute)
        groups = torch.tensor(index)[batch // self.images.shape[1]]
        seen = self.images.flatten(0, 1)[batch]
        images = [seen[groups == group] for group in range(max(index) + 1)]
        total = texts.new_zeros(())
        for i, j in combinations(range(len(images)), 2):
            pairs = self._matched(attribute, i, j)
            if not pairs:
                continue
            t_i, t_j = (texts[[pair[side] for pair in pairs]] for side in (0, 1))
            total = total + self._direction(images[i], images[j], t_i, t_j) + self._consistency(t_i, t_j)
        return total / (len(images) - 1)

    def text_features(self, attribute: str) -> Tensor:
        """``t_c`` of every cell, ``(K, p)``, with gradients for the tokens of ``attribute`` alone."""
        tokens = self.cell_tokens(attribute)
        text = self.task.model.encode_uncached(
            [self.method.prompt] * len(tokens), lambda x, eos: insert(x, eos, tokens)
        )
        return self._feature(text.at(text.first_eos + self.method.length))

    def cell_tokens(self, attribute: str = "") -> Tensor:
        """The tokens of every cell ``(K, q, d)``, with gradients for those of ``attribute`` alone."""
        shape = (len(self.task.cells), self.method.length, self.projection.shape[1])
        total = self.projection.new_zeros(shape)
        for name, index in self.groups.items():
            tokens = self.tokens[name] if name == attribute else self.tokens[name].detach()
            total = total + tokens[list(index)]
        return total

    def _feature(self, states: Tensor) -> Tensor:
        return normalize(states.to(self.projection) @ self.projection.T, dim=-1)

    def _reference(self) -> Tensor:
        """Features of images whose prompts state their cell, ``(K, r, p)``."""
        cells, count = self.task.cells, self.method.images_per_cell(self.task.cells)
        texts = [fill(self.method.reference, concept="person", cell=cell) for cell in cells]
        seeds = self.task.rng.choice(2**31, size=len(cells) * count, replace=False).tolist()
        images = self.task.sample([text for text in texts for _ in range(count)], seeds)
        assert self.task.image_features is not None, "a task with a CLIP has its image features"
        features = torch.from_numpy(self.task.image_features(images)).to(self.projection)
        return features.reshape(len(cells), count, -1)

    def _matched(self, attribute: str, i: int, j: int) -> list[tuple[int, int]]:
        """Pairs of cells of group ``i`` and ``j`` that agree in every other attribute."""
        others = [{**cell.groups, attribute: ""} for cell in self.task.cells]
        index = self.groups[attribute]
        of = {g: [number for number, group in enumerate(index) if group == g] for g in (i, j)}
        return [(a, b) for a in of[i] for b in of[j] if others[a] == others[b]]

    def _direction(self, v_i: Tensor, v_j: Tensor, t_i: Tensor, t_j: Tensor) -> Tensor:
        moves = t_i - t_j
        if len(v_i) and len(v_j) and bool((moves != 0).any(dim=1).all()):
            return (1 - cosine_similarity((v_i.mean(dim=0) - v_j.mean(dim=0))[None], moves)).mean()
        cosines = [(v @ t.T).flatten() for v, t in ((v_i, t_i), (v_j, t_j))]
        return 1 - torch.cat(cosines).mean() if len(v_i) or len(v_j) else moves.sum() * 0

    def _consistency(self, t_i: Tensor, t_j: Tensor) -> Tensor:
        return (self.method.consistency - (t_i @ self.original + t_j @ self.original) / 2).relu().mean()


def _group_indices(cells: Sequence[Cell]) -> Mapping[str, tuple[int, ...]]:
    """Attribute to the index of its group in every cell, for attributes with at least two groups."""
    indices = {}
    for name in cells[0].groups:
        found = list(dict.fromkeys(cell.groups[name] for cell in cells))
        if len(found) > 1:
            indices[name] = tuple(found.index(cell.groups[name]) for cell in cells)
    return indices
