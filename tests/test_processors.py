"""The fold gives the same bytes whichever processor it runs on."""

from __future__ import annotations

import pytest

from tests.processors import digests_under, settings


@pytest.mark.timeout(900)
def test_the_fold_gives_the_same_bytes_on_every_processor() -> None:
    found = {str(environment): digests_under(environment) for environment in settings()}
    folds = {(digests.fold, digests.clusters, digests.agreements) for digests in found.values()}
    assert len(folds) == 1, found
    # without this, nothing would have been different in the first place
    assert len({digests.product for digests in found.values()}) > 1
