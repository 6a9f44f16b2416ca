"""Learning from a platform's own posts: heads on frozen towers, and thresholds."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumers.bundles import open_encoders
from consumers.checks.findings import CheckError
from consumers.learning.tower_rows import embed_posts
from consumers.terminal import progress_bar
from models.manifest import read_manifest, write_manifest
from models.thresholds import TooFewPosts, calibrate_posts, calibration_of, require_posts
from models.tower_cache import TowerCache

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.learning.tower_rows import EmbeddedPosts
    from consumers.posts.produce import Refuse
    from consumers.settings import Settings
    from models.bundle import Bundle
    from models.manifest import Manifest
    from models.post_rows import PostRows
    from models.training.device import Device
    from models.training.heads.loop import TrainedHeads
    from models.training.heads.recipe import HeadRecipe

PARITY_POSTS = 8
PARITY_LIMIT = 1e-5
LEAST_OF_A_MODALITY = 64


@dataclass(frozen=True, slots=True)
class PostsGiven:
    """Which posts, and how they are looked at.

    Attributes:
        data: a file of JSON lines, or a folder.
        copies: altered copies of each.
        cache: folder of what towers made of them.
        group_by: an attribute that says what a post shows.
        false_match_rate: of pairs of posts that show different things.
    """

    data: Path
    copies: int
    cache: Path
    group_by: str | None
    false_match_rate: float

    def told(self, found: EmbeddedPosts) -> str:
        """In words, for the manifest."""
        digest = hashlib.sha256("\n".join(found.rows.post_ids).encode()).hexdigest()[:12]
        told = f"{len(found.rows)} posts of {self.data.name} (sha256 of their ids {digest})"
        return f"{told}, {self.copies} altered copies of each"


@dataclass(frozen=True, slots=True)
class HeadsWanted:
    """What `shoal train heads` is asked for."""

    output: Path
    folder: Path
    posts: PostsGiven
    recipe: HeadRecipe
    resume: bool
    device: Device
    command: str


@dataclass(frozen=True, slots=True)
class HeadsMade:
    """The new bundle, how the training went, and what became of the posts."""

    manifest: Manifest
    trained: TrainedHeads
    posts: EmbeddedPosts


def train_heads_on_posts(settings: Settings, wanted: HeadsWanted, refuse: Refuse) -> HeadsMade:
    """Train heads for the bundle of the settings, and write the new one; it is opened once before this returns.

    Raises:
        CheckError: the posts are too few, or the written graphs compute something else.
        ManifestError, SettingsError: the bundle or the posts cannot be read.
    """
    from models.training.heads.bundle import HeadPosts, write_head_bundle  # noqa: PLC0415  # torch is slow to import
    from models.training.heads.loop import train_heads  # noqa: PLC0415
    from models.training.heads.recipe import HeadsError  # noqa: PLC0415
    from models.training.heads.split import split_posts  # noqa: PLC0415
    from models.training.progress import progress  # noqa: PLC0415

    bundle = open_encoders(settings)
    found = _embed(settings, bundle, wanted.posts, refuse)
    rows, recipe = _frequent(found.rows, refuse), wanted.recipe
    try:
        split = split_posts(rows.groups, recipe)
        require_posts(rows.groups[split.calibration], wanted.posts.false_match_rate)
        posts = HeadPosts(*(rows.of(chosen) for chosen in split))
        with progress("training heads", recipe.epochs) as watch:
            trained = train_heads(
                posts.training,
                posts.validation,
                recipe,
                recipe.dimension or bundle.manifest.dimension,
                wanted.folder,
                resume=wanted.resume,
                device=wanted.device,
                watch=watch,
            )
        manifest = write_head_bundle(
            bundle.folder,
            bundle.manifest,
            trained,
            posts,
            recipe,
            wanted.output,
            false_match_rate=wanted.posts.false_match_rate,
            command=wanted.command,
            data=wanted.posts.told(found),
        )
    except (HeadsError, TooFewPosts) as error:
        raise CheckError(f"train heads: {error}") from error
    manifest = _proven(settings, wanted, trained, found)
    return HeadsMade(manifest, trained, found)


def calibrate_on_posts(settings: Settings, output: Path, posts: PostsGiven, seed: int, refuse: Refuse) -> Manifest:
    """Calibrate the thresholds of the bundle of the settings on posts; only its manifest changes, and not its id.

    Args:
        output: the bundle's own folder, or a new one that gets a copy of it.

    Raises:
        CheckError: the posts are too few.
    """
    bundle = open_encoders(settings)
    found = _embed(settings, bundle, posts, refuse)
    try:
        calibrated = calibrate_posts(
            found.rows.fused(bundle.layout), found.rows.groups, bundle.layout, posts.false_match_rate, seed
        )
    except TooFewPosts as error:
        raise CheckError(f"calibrate: {error}") from error
    command = f"shoal calibrate --data {posts.data.name} --false-match-rate {posts.false_match_rate:g} --seed {seed}"
    calibration = calibration_of(calibrated, posts.false_match_rate, seed, command, posts.told(found))
    manifest = msgspec.structs.replace(bundle.manifest, thresholds=calibrated.thresholds, calibration=calibration)
    if output.resolve() != bundle.folder.resolve():
        if output.exists() and any(output.iterdir()):
            raise CheckError(f"calibrate: {output} is not empty; give a new folder")
        shutil.copytree(bundle.folder, output, dirs_exist_ok=True)
    write_manifest(output, manifest)
    return manifest


def _embed(settings: Settings, bundle: Bundle, posts: PostsGiven, refuse: Refuse) -> EmbeddedPosts:
    cache = TowerCache(posts.cache, bundle.bundle_id, [modality.name for modality in bundle.manifest.modalities])
    with progress_bar("embedding posts") as advance:
        found = embed_posts(
            settings,
            bundle,
            posts.data,
            copies=posts.copies,
            cache=cache,
            group_by=posts.group_by,
            refuse=refuse,
            advance=advance,
        )
    if not len(found.rows):
        raise CheckError(f"{posts.data}: no post in it can be used")
    return found


def _frequent(rows: PostRows, refuse: Refuse) -> PostRows:
    """The posts without modalities that too few of them have: there is nothing to learn about those."""
    frequent = {name for name in rows.items if rows.present(name)[:, 0].sum() >= LEAST_OF_A_MODALITY}
    for name in sorted(rows.items.keys() - frequent):
        refuse(f"{name}: fewer than {LEAST_OF_A_MODALITY} posts have it; its encoder stays as it is")
    return rows.with_modalities(name for name in rows.items if name in frequent)


def _proven(settings: Settings, wanted: HeadsWanted, trained: TrainedHeads, found: EmbeddedPosts) -> Manifest:
    """Compare the written graphs, opened as `shoal run` opens them, with the heads; note how far they are apart."""
    from models.training.heads.loop import joint_rows  # noqa: PLC0415

    bundle = open_encoders(settings, wanted.output)
    again = embed_posts(
        settings,
        bundle,
        wanted.posts.data,
        copies=0,
        cache=None,
        group_by=None,
        refuse=lambda _: None,
        advance=lambda _done, _whole: None,
        most=PARITY_POSTS,
    )
    chosen = np.array([found.digests.index(digest) for digest in again.digests])
    written = again.rows
    trained_on = found.rows.with_modalities(trained.heads.names)
    expected = joint_rows(trained.heads, trained_on.of(chosen).of_views((0,)))
    parity = {}
    for name in expected.items.keys() & written.items.keys():
        cosines = (written.embeddings(name)[:, 0] * expected.embeddings(name)[:, 0]).sum(axis=1)
        there = expected.present(name)[:, 0]
        parity[name] = float(np.abs(1.0 - cosines[there]).max(initial=0.0))
    worst = max(parity.values())
    if not worst <= PARITY_LIMIT:
        shutil.rmtree(wanted.output)
        raise CheckError(f"{wanted.output}: its graphs differ from the heads by {worst:.1e}; please report it")
    manifest = read_manifest(wanted.output)
    manifest = msgspec.structs.replace(manifest, parity={name: float(f"{v:.2e}") for name, v in parity.items()})
    write_manifest(wanted.output, manifest)
    return manifest
