"""What a search finds, as rows of tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.bundles import open_encoders
from consumers.cells.conclusions import rfc3339
from consumers.questions.query import embed_query
from consumers.questions.search import Asked, search
from consumers.settings import SettingsError
from consumers.state.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from consumers.contracts.post import Post
    from consumers.questions.search import Hit, What
    from consumers.settings import Settings


def find(
    settings: Settings,
    post: Post,
    kinds: Collection[What],
    *,
    within: str | None,
    limit: int,
    progress: Callable[[int, int], None],
) -> list[Hit]:
    """Embed a query as the consumers embed posts, and search the running system for it.

    Raises:
        SettingsError: the bundle has no modality `within`.
        CheckError: the query cannot be used. ManifestError, StateUnavailable, CodecError.
    """
    bundle = open_encoders(settings)
    if within is not None and within not in bundle.layout.names:
        raise SettingsError(f"--in {within}: the bundle has {', '.join(bundle.layout.names)}")
    asked = Asked(embed_query(settings, bundle, post), within, limit)
    store = StateStore(settings.redis, bundle.bundle_id, settings.assign.cells)
    try:
        return list(search(store, bundle.layout, asked, kinds, progress))
    finally:
        store.close()


def table_of(hits: Iterable[Hit], what: What, within: str | None) -> list[dict[str, Any]]:
    """The rows of the hits of one kind; the similarity to a query of one part is named after the part."""
    return [_row(hit, within) for hit in hits if hit.what == what]


def objects_of(hits: Iterable[Hit], within: str | None) -> Iterator[dict[str, Any]]:
    """Each hit for a program."""
    for hit in hits:
        yield {
            "what": hit.what,
            "name": hit.name,
            "similarity": hit.similarity,
            "similarities": hit.similarities,
            "compared_with": within,
            "cluster_id": hit.cluster_id or None,
            "labels": hit.labels,
            "place": hit.place,
            "posts": hit.posts,
            "cohesion": hit.cohesion,
            "time": rfc3339(hit.time) if hit.time else None,
        }


def _row(hit: Hit, within: str | None) -> dict[str, Any]:
    parts = {name if within in {None, name} else f"{name} → {within}": c for name, c in hit.similarities.items()}
    row: dict[str, Any] = {hit.what: hit.name} | ({"similarity": hit.similarity} if len(parts) > 1 else {}) | parts
    if hit.what == "cluster":
        return row | {"posts": hit.posts, "cohesion": hit.cohesion, "labels": hit.labels}
    row |= {"cluster": hit.cluster_id or None, "labels": hit.labels}
    return row | {"place": hit.place} if hit.what == "post" else row
