"""The text encoder's own tokenizer: byte-level pairs over text with look-alike letters folded together, no emoji."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from models.folded_text import LOOK_ALIKES

if TYPE_CHECKING:
    from collections.abc import Iterable

PADDING = "[PAD]"
START = "[START]"

_EMOJI = r"\p{Extended_Pictographic}\p{Emoji_Modifier}"
_READ = r"\p{L}\p{N}"
_LONGEST = "{150}"
"""A stretch with neither letters nor digits is cut after so many: of emoji, that is more than the encoder takes. So
the time that patterns with _NEAR take stays in proportion to a text."""
_NEAR = "{0,150}"


def build_normalizer() -> normalizers.Normalizer:
    """Compatibility forms, no marks or invisible characters, lower case, look-alikes folded, spaced words joined.

    Emoji near letters and digits are spaces: they are strewn into a text to disguise it. Texts of emoji alone keep
    theirs.
    """
    steps: list[normalizers.Normalizer] = [
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
        normalizers.Replace(Regex(r"[\p{Cf}\p{Cc}&&[^\t\n\r]]|\p{Mn}"), ""),
        normalizers.Replace(Regex(rf"[^{_READ}]{_LONGEST}\K[^{_READ}]+"), " "),
        normalizers.Replace(Regex(rf"[{_EMOJI}](?=[^{_READ}]{_NEAR}[{_READ}])"), " "),
        normalizers.Replace(
            Regex(rf"[{_READ}][^{_READ}{_EMOJI}]{_NEAR}\K[{_EMOJI}](?:[^{_READ}]{_NEAR}[{_EMOJI}])?"), " "
        ),
    ]
    steps += [normalizers.Replace(Regex(look), plain) for look, plain in _by_target().items()]
    # twice: in "l33t" and "5@le" a digit stands beside another that has to become a letter first
    steps += 2 * [normalizers.Replace(Regex(pattern), plain) for pattern, plain in _digits_in_words().items()]
    steps += [
        normalizers.Replace(Regex(r"(?<=\b\w)[ ._*-]+(?=\w\b)"), ""),  # s p a c e d and d-o-t-t-e-d words
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    return normalizers.Sequence(steps)


def _by_target() -> dict[str, str]:
    targets: dict[str, str] = {}
    for look, plain in LOOK_ALIKES.items():
        targets[plain] = targets.get(plain, "") + look
    return {f"[{looks}]": plain for plain, looks in targets.items()}


def _digits_in_words() -> dict[str, str]:
    """Digits and signs beside letters that stand for letters; numbers and marks that end a word stay."""
    patterns = {
        rf"(?<=\p{{L}}){sign}|{sign}(?=\p{{L}})": plain for sign, plain in zip("013457", "oieast", strict=True)
    }
    patterns |= {r"(?<=\p{L})8|8(?=\p{L})": "b", r"(?<=\p{L})9|9(?=\p{L})": "g", r"(?<=\p{L})\$|\$(?=\p{L})": "s"}
    return patterns | {r"(?<=\p{L})@|@(?=\p{L}\b)": "a", r"(?<=\p{L})!(?=\p{L})": "i", r"(?<=\p{L})\+(?=\p{L})": "t"}


def train_tokenizer(texts: Iterable[str], vocabulary: int, max_tokens: int) -> Tokenizer:
    """Learn a byte-level pair encoding. Every input has tokens: bytes cover what was never seen.

    Args:
        texts: captions to learn from.
        vocabulary: number of tokens at most, the 256 bytes among them.
        max_tokens: longer inputs are cut, the start token counted.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = build_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PADDING, START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    start = tokenizer.token_to_id(START)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(PADDING), pad_token=PADDING)
    return tokenizer
