import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.training.tokenizer import train_tokenizer

TEXTS = [f"sale today, {number} cheap shoes in the market" for number in range(200)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, 400, 16)


@pytest.mark.parametrize(
    "disguised",
    [
        "ЅALE tоday",
        "s\u200bale to\u00adday",
        "sále todäy",
        "ＳＡＬＥ today",
        "s a l e today",
        "5ale t0day",
        "s.a.l.e today",
        "🔥sale🚀🚀today 👍🏽",
        "💰 sale ❤️ today 👉 🤑",
        "s💀a💀l💀e today",
    ],
)
def test_disguised_words_are_read_as_the_plain_ones(tokenizer: Tokenizer, disguised: str) -> None:
    assert tokenizer.encode(disguised).ids == tokenizer.encode("sale today").ids


def test_emoji_take_no_number_with_them(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("sale 🔥 50 💰").ids == tokenizer.encode("sale 50").ids


@pytest.mark.parametrize("between", ["", " "])
def test_any_number_of_emoji_before_or_behind_words_changes_nothing(tokenizer: Tokenizer, between: str) -> None:
    strewn = between.join(["🔥"] * 10_000)  # in a time that grows with its square this would not end
    for text in (f"{strewn} sale today", f"sale today {strewn}"):
        assert tokenizer.encode(text).ids == tokenizer.encode("sale today").ids
    assert tokenizer.encode(strewn).ids[:16] == tokenizer.encode(between.join(["🔥"] * 100)).ids[:16]


def test_texts_of_emoji_alone_differ(tokenizer: Tokenizer) -> None:
    assert len({tuple(tokenizer.encode(text).ids) for text in ("", "🔥", "🚀", "🔥 🚀", "🔥🚀!")}) == 5


@given(st.lists(st.sampled_from(["sale", "today", "105", "🔥", "❤️", "👍🏽", "é!"]), min_size=1, max_size=12))
def test_emoji_among_words_change_nothing(tokenizer: Tokenizer, words: list[str]) -> None:
    read = [word for word in words if word[-1].isalnum() or word == "é!"]
    if read:
        assert tokenizer.encode(" ".join(words)).ids == tokenizer.encode(" ".join(read)).ids


def test_numbers_that_stand_alone_stay_numbers(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("sale 105").ids != tokenizer.encode("sale ios").ids


@given(st.text(max_size=60))
def test_every_text_has_tokens_within_the_limit(tokenizer: Tokenizer, text: str) -> None:
    encoded = tokenizer.encode(text)
    assert 1 <= len(encoded.ids) <= 16
    assert max(encoded.ids) < 400


def test_a_batch_is_padded_and_masked(tokenizer: Tokenizer) -> None:
    short, long = tokenizer.encode_batch(["sale", "cheap shoes in the market today"])
    assert len(short.ids) == len(long.ids)
    assert sum(short.attention_mask) < sum(long.attention_mask) == len(long.ids)


def test_a_saved_tokenizer_reads_texts_the_same(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_str(tokenizer.to_str())
    assert again.encode("ЅALE 日本 😀").ids == tokenizer.encode("ЅALE 日本 😀").ids
