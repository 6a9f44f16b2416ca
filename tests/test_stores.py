from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.settings import Media, SettingsError
from consumers.stores import options_of, store_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_store_is_opened_once(tmp_path: Path) -> None:
    prefix = f"file://{tmp_path}/"
    settings = Media(prefixes=(prefix,))
    assert store_of(prefix, settings) is store_of(prefix, settings)


@pytest.mark.parametrize(
    "prefix", ["http://example.org/", "file:///there/is/no/such/folder/", "file://host/folder/", "s3:///", "posts"]
)
def test_a_prefix_that_cannot_be_used_is_one_line(prefix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        store_of(prefix, Media(prefixes=(prefix,)))
    assert repr(prefix) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_the_store_and_of_its_http_client_stand_side_by_side() -> None:
    options = {"endpoint": "http://127.0.0.1:9", "region": "z", "skip_signature": "true", "allow_http": "true"}
    prefix = "s3://bucket/both/"
    store = store_of(prefix, Media(prefixes=(prefix,), options={prefix.rstrip("/"): options}))
    assert store.prefix == "both"
    assert str(store.client_options["allow_http"]) == "true"


@pytest.mark.parametrize(("scheme", "variable"), [("s3", "AWS"), ("gs", "GOOGLE"), ("az", "AZURE")])
def test_options_of_the_http_client_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    monkeypatch.setenv(f"{variable}_ALLOW_HTTP", "true")
    monkeypatch.setenv(f"{variable}_USER_AGENT", "the environment's")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "somebody")
    prefix = f"{scheme}://bucket/environment/"
    store = store_of(prefix, Media(prefixes=(prefix,), options={prefix: {"user_agent": "ours"}}, timeout_seconds=7))
    told = {name: str(value) for name, value in store.client_options.items()}
    assert told == {"allow_http": "true", "user_agent": "ours", "timeout": "7.0s"}


def test_an_option_that_nobody_knows_is_one_line() -> None:
    prefix = "s3://bucket/unknown/"
    with pytest.raises(SettingsError, match="nonsense"):
        store_of(prefix, Media(prefixes=(prefix,), options={prefix: {"nonsense": "x"}}))


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        ("s3://bucket/shoal/", "outer"),
        ("s3://bucket/shoal", "outer"),
        ("s3://bucket/shoal/group/small.1.0/", "outer"),
        ("s3://bucket/shoal/night/small.1.0/", "inner"),
        ("s3://bucket/shoal-of-others/", None),
        ("s3://bucket/", None),
    ],
)
def test_a_place_has_the_options_of_the_nearest_one_that_it_lies_in(prefix: str, key: str | None) -> None:
    options = {"s3://bucket/shoal": {"key": "outer"}, "s3://bucket/shoal/night/": {"key": "inner"}}
    assert options_of(prefix, options).get("key") == key
