"""The training loop of heads: epochs until the validation loss stops falling, resumable after each."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.training.device import device_of
from models.training.heads.batches import Batch, epoch_batches, nearest
from models.training.heads.checkpoint import Standing, load_checkpoint, save_checkpoint
from models.training.heads.curves import draw_curves, write_lines
from models.training.heads.evaluation import retrieval
from models.training.heads.losses import LOSSES
from models.training.heads.network import Heads, first_heads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.post_rows import PostRows
    from models.training.device import Device
    from models.training.heads.recipe import HeadRecipe

CLIP = 1.0
LATER = 0.1
"""The rate ends at this share of its highest."""
MOST_VALIDATED = 2_048
BETWEEN, WITHIN = 0, 1


@dataclass(frozen=True, slots=True)
class TrainedHeads:
    """The heads of the best epoch; epoch 0 is the bundle as it was."""

    heads: Heads
    best_epoch: int
    history: list[dict[str, float]]


class HeadTrainer:
    """Heads, their optimiser, and the posts they are trained on."""

    def __init__(
        self, training: PostRows, validation: PostRows, heads: Heads, recipe: HeadRecipe, device: str
    ) -> None:
        self.training, self.recipe, self.device = training, recipe, device
        self.heads = heads.to(device)
        self.optimiser = torch.optim.AdamW(self.heads.parameters(), lr=recipe.rate, weight_decay=0.0)
        self._items = {name: torch.from_numpy(rows).to(device) for name, rows in training.items.items()}
        self._validation = _whole(validation)

    def epoch(self, number: int) -> float:
        """Train one epoch; the mean loss of its steps."""
        near = nearest(self._whole_vectors(), self.training.groups)
        batches = list(
            epoch_batches(self.training.groups, self.training.views, len(self.heads.names), near, self.recipe, number)
        )
        total = 0.0
        for step, batch in enumerate(batches):
            done = (number - 1 + step / len(batches)) / self.recipe.epochs
            rate = self.recipe.rate * (LATER + (1.0 - LATER) * 0.5 * (1.0 + math.cos(math.pi * done)))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss = self._loss(self.training, self._items, batch) + self.recipe.anchor * self.heads.moved()
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.heads.parameters(), CLIP)
            self.optimiser.step()
            total += float(loss.detach())
        return total / len(batches)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss on validation posts, with nothing drawn at random, and what is found among them."""
        rows, batch = self._validation
        items = {name: torch.from_numpy(given).to(self.device) for name, given in rows.items.items()}
        loss = float(self._loss(rows, items, batch))
        joint = joint_rows(self.heads, rows)
        return {"validation_loss": loss, **retrieval(joint, mean_rows(joint))}

    def _loss(self, rows: PostRows, items: dict[str, Tensor], batch: Batch) -> Tensor:
        groups = torch.from_numpy(rows.groups[batch.posts]).to(self.device)
        same = groups[:, None] == groups[None, :]
        embedded, present = self._embed(rows, items, batch)
        names = self.heads.names
        total = torch.zeros((), device=self.device)
        pairs = [(one, two) for one in range(len(names)) for two in range(one + 1, len(names))]
        for one, two in pairs:
            sides = (embedded[one][0], embedded[two][0]), present[0, :, one] & present[0, :, two]
            total = total + self.recipe.align / len(pairs) * self._compare(*sides, same, BETWEEN)
        for one in range(len(names)):
            sides = (embedded[one][0], embedded[one][1]), present[0, :, one] & present[1, :, one]
            total = total + self.recipe.consistency / len(names) * self._compare(*sides, same, WITHIN)
        if len(names) > 1:
            whole = [self._together(embedded, present, batch, view) for view in (0, 1)]
            there = present.any(dim=2).all(dim=0)
            total = total + self.recipe.whole * self._compare((whole[0], whole[1]), there, same, WITHIN)
        return total

    def _embed(self, rows: PostRows, items: dict[str, Tensor], batch: Batch) -> tuple[list[list[Tensor]], Tensor]:
        """By modality the rows of both views, and which are there: bool (2, n, modalities)."""
        embedded: list[list[Tensor]] = []
        present = np.zeros((2, len(batch.posts), len(self.heads.names)), dtype=bool)
        # on a processor bfloat16 would be slower; heads are a product and a norm
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            for number, name in enumerate(self.heads.names):
                of_views = []
                for view, views in enumerate(batch.views):
                    places, owner = rows.places(name, batch.posts, views)
                    present[view, :, number] = rows.counts[name][batch.posts, views] > 0
                    where = torch.from_numpy(places).to(self.device)
                    owners = torch.from_numpy(owner).to(self.device)
                    of_views.append(self.heads(name, items[name][where], owners, len(batch.posts)))
                embedded.append(of_views)
        return embedded, torch.from_numpy(present).to(self.device)

    def _compare(self, sides: tuple[Tensor, Tensor], there: Tensor, same: Tensor, which: int) -> Tensor:
        rows = torch.nonzero(there).ravel()
        if len(rows) < 2:
            return torch.zeros((), device=self.device)
        scale, offset = self.heads.scaled(which)
        return LOSSES[self.recipe.loss](sides[0][rows], sides[1][rows], same[rows][:, rows], scale, offset)

    def _together(self, embedded: list[list[Tensor]], present: Tensor, batch: Batch, view: int) -> Tensor:
        """One unit row a post, of the parts that are left in; all parts where none is."""
        kept = torch.from_numpy(batch.kept[view]).to(self.device) & present[view]
        kept = torch.where(kept.any(dim=1, keepdim=True), kept, present[view])
        parts = torch.stack([of_views[view] for of_views in embedded], dim=1)
        return nn.functional.normalize((parts * kept[:, :, None]).sum(dim=1), dim=1)

    def _whole_vectors(self) -> NDArray[np.float32]:
        """One unit row a training post, of all its parts: float32 (posts, dimension)."""
        joint = joint_rows(self.heads, self.training.of_views((0,)))
        summed = np.sum([joint.embeddings(name)[:, 0] for name in self.heads.names], axis=0)
        lengths = np.linalg.norm(summed, axis=1, keepdims=True)
        return np.asarray(summed / np.maximum(lengths, 1e-6), dtype=np.float32)


def train_heads(
    training: PostRows,
    validation: PostRows,
    recipe: HeadRecipe,
    dimension: int,
    folder: Path,
    *,
    resume: bool,
    device: Device = "auto",
    watch: Callable[[int, str], None],
) -> TrainedHeads:
    """Train until the validation loss has not fallen for `recipe.patience` epochs.

    Args:
        training, validation: what the towers make of posts and of their altered copies.
        recipe: what the result depends on.
        dimension: of the joint space.
        folder: for the checkpoint and the curves; made when it is not there.
        resume: go on from the checkpoint there.
        device: `auto` takes a GPU where there is one.
        watch: told, after each epoch, how many have ended since the last time and how it stands.

    Raises:
        CheckpointError: there is nothing to resume.
        ValueError: no GPU where one is asked for.
    """
    place = device_of(device)
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    heads = first_heads(mean_rows(training), dimension, recipe.seed)
    trainer = HeadTrainer(training, validation, heads, recipe, place)
    data = digest_of(training, validation)
    if resume:
        standing, now, best, state = load_checkpoint(folder, recipe.digest, data)
        trainer.heads.load_state_dict(now)
        whole = trainer.optimiser.state_dict()
        trainer.optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
        watch(standing.epoch, "resumed")
    else:
        first = trainer.validate()
        standing = Standing(
            recipe=recipe.digest,
            data=data,
            epoch=0,
            best_epoch=0,
            best_loss=first["validation_loss"],
            history=[{"epoch": 0.0, **first}],
        )
        best = {name: value.detach().cpu().clone() for name, value in trainer.heads.state_dict().items()}
    while standing.epoch < recipe.epochs and standing.epoch - standing.best_epoch < recipe.patience:
        best = _one_epoch(trainer, standing, best, folder)
        row = standing.history[-1]
        watch(
            1, f"loss {row['training_loss']:.3f}, validation {row['validation_loss']:.3f}, best {standing.best_epoch}"
        )
    trainer.heads.load_state_dict(best)
    draw_curves(folder, standing.history, standing.best_epoch)
    return TrainedHeads(trainer.heads.cpu(), standing.best_epoch, standing.history)


def _one_epoch(trainer: HeadTrainer, standing: Standing, best: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Train, validate, note, keep; the best heads so far."""
    standing.epoch += 1
    loss = trainer.epoch(standing.epoch)
    found = trainer.validate()
    standing.history.append({"epoch": float(standing.epoch), "training_loss": loss, **found})
    if found["validation_loss"] < standing.best_loss:
        standing.best_epoch, standing.best_loss = standing.epoch, found["validation_loss"]
        best = {name: value.detach().cpu().clone() for name, value in trainer.heads.state_dict().items()}
    save_checkpoint(folder, standing, trainer.heads.state_dict(), best, trainer.optimiser.state_dict())
    write_lines(folder, standing.history)
    return best


def _whole(rows: PostRows) -> tuple[PostRows, Batch]:
    """All posts of a set as one batch, as they are beside their first copy, no part left out."""
    rows = rows.of(np.arange(min(len(rows), MOST_VALIDATED)))
    posts = np.arange(len(rows))
    views = np.stack([np.zeros_like(posts), np.full_like(posts, min(1, rows.views - 1))])
    return rows, Batch(posts, views, np.ones((2, len(rows), len(rows.items)), dtype=bool))


@torch.no_grad()
def joint_rows(heads: Heads, rows: PostRows) -> PostRows:
    """The same posts in the joint space, item by item."""
    device = heads.scale.device
    items = {
        name: heads.items(name, torch.from_numpy(given).to(device)).cpu().numpy()
        for name, given in rows.items.items()
    }
    return rows.with_items(items)


def mean_rows(rows: PostRows) -> dict[str, NDArray[np.float32]]:
    """By modality the mean embedding of the posts as they are, rounded as the manifest keeps it."""
    means = {}
    for name in rows.items:
        embedded, there = rows.embeddings(name)[:, 0], rows.present(name)[:, 0]
        means[name] = np.round(embedded[there].mean(axis=0), 6).astype(np.float32)
    return means


def digest_of(*parts: PostRows) -> str:
    """Changes with any number in them."""
    digest = hashlib.sha256()
    for rows in parts:
        for name, given in rows.items.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(given).tobytes())
            digest.update(np.ascontiguousarray(rows.counts[name]).tobytes())
        digest.update(np.ascontiguousarray(rows.groups).tobytes())
    return digest.hexdigest()
