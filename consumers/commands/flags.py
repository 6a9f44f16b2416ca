"""`shoal flags`: the latest of them."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_json, print_rows


@with_settings(bundle=False)
def flags(
    settings: Settings,
    *,
    policy: Annotated[str | None, typer.Option(help="Only those under this policy.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Look at the last so many of each partition.")] = 100,
    as_json: AsJson = False,
) -> None:
    """The latest flags, with each modality's share; --json gives them whole."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.flags import read_flags, row_of

    require_brokers(settings)
    found = read_flags(settings, policy=policy, last=last)
    if as_json:
        for flag in found:
            print_json(flag)
    else:
        print_rows(map(row_of, found), as_json=False, empty="no flags")
