"""What is published and what must come of it, whatever happens in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.platform import Platform


def caption(number: int) -> dict[str, str]:
    """Variants of a few texts, so that posts share clusters; in several cells."""
    kinds = ("a red bicycle against the wall", "double your coins at once", "tea with my oldest friend", "0123456789")
    return {"post_id": f"post-{number}", "caption": f"{kinds[number % 4]} {kinds[number % 4]} {number % 10}"}


def assert_exactly_once(platform: Platform, published: Sequence[tuple[int, int]]) -> None:
    """One decision a record published, and no revision of a flag with two contents."""
    sources = Counter((one.source.partition, one.source.offset) for one in platform.decisions())
    assert sources == Counter(published)
    contents: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    values = platform.values(platform.settings.topics.flags)
    for value, flag in zip(values, platform.flags(), strict=True):
        contents[flag.flag_id, flag.revision].add(value)
    assert [key for key, found in contents.items() if len(found) > 1] == []
    assert len(values) == len(contents)
