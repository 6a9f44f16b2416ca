"""`shoal verdict`: a moderator's word."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import print_fields


@with_settings(bundle=False)
def verdict(
    settings: Settings,
    decision: Annotated[Literal["uphold", "overturn"], typer.Argument(help="It violates the policy, or not.")],
    post_id: Annotated[str | None, typer.Argument(help="The post it is about.", show_default=False)] = None,
    *,
    policy: Annotated[str, typer.Option(help="The policy it violates, or does not.")],
    flag: Annotated[str | None, typer.Option(help="A flag's id instead of a post's.")] = None,
    cluster: Annotated[str | None, typer.Option(help="A micro-cluster's id instead of a post's.")] = None,
    cell: Annotated[int | None, typer.Option(help="The cell in its decision or flag: found at once.")] = None,
    cell_offset: Annotated[int | None, typer.Option(help="The cell offset in its decision or flag.")] = None,
    actor: Annotated[str, typer.Option(help="Who decided: one actor counts once.")] = "cli",
    note: Annotated[str | None, typer.Option(help="A remark, kept with the verdict.")] = None,
    supersedes: Annotated[str | None, typer.Option(help="The id of an earlier verdict that counts no more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a moderator's verdict: posts like an upheld one are flagged from now on."""
    from consumers.changes.verdicts import VerdictError, send_verdict

    try:
        verdict_id = send_verdict(
            settings,
            decision=decision,
            policy=policy,
            post_id=post_id,
            flag_id=flag,
            cluster_id=cluster,
            cell=cell,
            cell_offset=cell_offset,
            actor=actor,
            note=note,
            supersedes=supersedes,
        )
    except VerdictError as error:
        raise SettingsError(str(error)) from error
    print_fields({"verdict_id": verdict_id, "decision": decision, "policy": policy}, as_json=as_json)
