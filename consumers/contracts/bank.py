"""A line of a bank: a post that is known to violate a policy, or known not to."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.post import Media, Post
from consumers.contracts.verdict import FusedVector

SCHEMA = "shoal.bank/1"


class BankSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a line comes from: the name of a list, and the entry's id in it."""

    list: str
    id: str | None = None


class BankMedia(Media, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a post in a bank.

    Attributes:
        path: a file beside the bank's, or in a folder below it; another way than `data` or `uri`.
    """

    path: str | None = None


class BankPost(Post, frozen=True, kw_only=True, omit_defaults=True):
    """A post in a bank; without a post_id it gets one from its source, or from what it holds."""

    post_id: str = ""
    media: tuple[BankMedia, ...] = ()


class BankLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Holds either a `post`, or a `post_id` with the `fused` vector that a bundle gave the post.

    Attributes:
        decision: `uphold`: it violates the policy; `overturn`: it does not, and neither do posts as near to it.
        source: the list it comes from.
        actor: whose word it is: one actor counts once for a post and its near-duplicates.
        verdict_id: of the verdict it was exported from, so that it counts nowhere twice.
    """

    schema: Literal["shoal.bank/1"] = "shoal.bank/1"
    policy: str | None = None
    decision: Literal["uphold", "overturn"] = "uphold"
    post: BankPost | None = None
    post_id: str | None = None
    fused: FusedVector | None = None
    source: BankSource | None = None
    actor: str | None = None
    decided_at: str | None = None
    verdict_id: str | None = None
