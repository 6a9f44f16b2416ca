"""`shoal train OUTPUT` trains a bundle from nothing; `shoal train heads OUTPUT` trains heads on one that there is."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from consumers.commands.train import train
from consumers.commands.train_heads import train_heads

WHOLE, HEADS = "whole", "heads"


class FolderOrWord(TyperGroup):
    """What comes after `shoal train` is a word, or what `whole` takes."""

    default = WHOLE

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in front of arguments that have none."""
        if args and args[0] not in {WHOLE, HEADS, "--help"}:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="train",
    cls=FolderOrWord,
    no_args_is_help=True,
    help="Train a bundle: OUTPUT alone is short for `whole OUTPUT`; for a folder called heads give ./heads.",
)
app.command(WHOLE)(train)
app.command(HEADS)(train_heads)
