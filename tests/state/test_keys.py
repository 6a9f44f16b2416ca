from __future__ import annotations

from redis.crc import key_slot

from consumers.settings import Redis
from consumers.state.keys import KINDS, CellKeys


def test_every_key_of_a_cell_is_in_one_slot_and_cells_have_keys_of_their_own() -> None:
    slots, names = [], set()
    for cell in range(4):
        keys = CellKeys(Redis(prefix="p"), "compact-1234", 4, cell)
        every = [keys.meta, keys.outputs, *(keys.of(kind) for kind in KINDS)]
        assert len({key_slot(key.encode()) for key in every}) == 1
        slots.append(key_slot(keys.meta.encode()))
        names |= set(every)
    assert len(names) == 4 * (2 + len(KINDS))
    assert len(set(slots)) > 1


def test_the_name_of_a_key() -> None:
    assert CellKeys(Redis(), "compact-1234", 4, 2).of("marks") == "shoal:{compact-1234.4.2}:marks"
