"""The micro-cluster that grows fastest is found among those that nobody has judged, over the last ten minutes."""

from __future__ import annotations

from consumers.cells.growth import SLICES, WINDOW_SECONDS, Growth


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def nobody(_cluster: str) -> bool:
    return False


def test_the_micro_cluster_with_the_most_posts_counts() -> None:
    growth = Growth(Clock())
    assert growth.fastest(nobody) == 0
    growth.add(["0-1", "0-2"])
    growth.add(["0-2", "0-3"])
    assert growth.fastest(nobody) == 2


def test_a_micro_cluster_that_somebody_has_judged_is_passed_over() -> None:
    growth = Growth(Clock())
    for cluster in ("0-1", "0-2", "0-2"):
        growth.add([cluster])
    assert growth.fastest(lambda cluster: cluster == "0-2") == 1


def test_posts_leave_when_they_are_older_than_the_window() -> None:
    clock = Clock()
    growth = Growth(clock)
    growth.add(["0-1"])
    growth.add(["0-1"])
    clock.now += WINDOW_SECONDS / 2
    growth.add(["0-2"])
    assert growth.fastest(nobody) == 2
    clock.now += WINDOW_SECONDS / 2
    assert growth.fastest(nobody) == 1
    clock.now += WINDOW_SECONDS
    assert growth.fastest(nobody) == 0


def test_what_is_kept_is_bounded_by_the_window() -> None:
    clock = Clock()
    growth = Growth(clock)
    for number in range(500):
        growth.add(f"0-{number}")
        growth.fastest(nobody)
        clock.now += WINDOW_SECONDS / 20
    assert len(growth._slices) <= SLICES + 1
    assert len(growth._posts) <= 21
