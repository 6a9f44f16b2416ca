"""Dead letters as rows of a table, and one in detail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumers.settings import SettingsError

if TYPE_CHECKING:
    from consumers.kafka.dead_letters import DeadLetter

VALUE_BYTES = 300


def place_of(text: str) -> tuple[int, int]:
    """Partition and offset in `PARTITION:OFFSET`.

    Raises:
        SettingsError: it is something else.
    """
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise SettingsError(f"dead letter {text!r}: must be PARTITION:OFFSET, as shoal dead-letters list shows it")
    return int(partition), int(offset)


def row_of(letter: DeadLetter) -> dict[str, Any]:
    """One line of the list."""
    return {
        "place": f"{letter.partition}:{letter.offset}",
        "time": datetime.fromtimestamp(letter.timestamp / 1000, UTC).isoformat(timespec="seconds"),
        "reason": letter.reason,
        "step": letter.step,
        "key": (letter.key or b"").decode(errors="replace")[:64],
        "from": _source(letter),
        "bytes": len(letter.value or b""),
    }


def _source(letter: DeadLetter) -> str:
    """Where the record stood, as far as that is known: a verdict was given up long after it was read."""
    known = letter.source_offset >= 0
    return f"{letter.topic}:{letter.source_partition}:{letter.source_offset}" if known else letter.topic


def details_of(letter: DeadLetter) -> dict[str, Any]:
    """Everything about one, with the beginning of its value."""
    value = letter.value or b""
    headers = {name: (content or b"").decode(errors="replace") for name, content in letter.headers}
    beginning = value[:VALUE_BYTES].decode(errors="replace")
    return row_of(letter) | {"detail": letter.detail, "headers": headers, "value": beginning}
