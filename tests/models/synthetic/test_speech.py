"""The source-filter voice."""

import numpy as np

from models.synthetic.oscillators import RATE
from models.synthetic.speech import Voice, draw_voice, speak


def pitch(samples: np.ndarray) -> float:
    """Hertz of the strongest period between 60 and 400 Hz, over the loudest stretch."""
    power = np.convolve(samples**2, np.ones(4096), "valid")
    start = int(power.argmax())
    frame = samples[start : start + 4096] * np.hanning(4096)
    spectrum = np.abs(np.fft.rfft(frame, 16384)) ** 2
    correlation = np.fft.irfft(spectrum)
    low, high = RATE // 400, RATE // 60
    return RATE / (low + int(correlation[low:high].argmax()))


def test_a_voice_speaks_at_its_pitch() -> None:
    for hertz in (100.0, 220.0):
        spoken = speak(Voice(hertz, 1.0, 4.0, 0.05, 0.0), np.random.default_rng(1), 3 * RATE)
        assert abs(np.log2(pitch(spoken) / hertz)) < 0.12


def test_speech_rises_and_falls_with_its_syllables() -> None:
    spoken = speak(Voice(120.0, 1.0, 4.0, 0.1, 0.2), np.random.default_rng(2), 5 * RATE)
    loudness = np.sqrt(np.mean(spoken[: 5 * RATE].reshape(-1, 400) ** 2, axis=1))
    assert np.percentile(loudness, 90) > 4 * np.percentile(loudness, 5)


def test_one_voice_says_other_things_with_another_generator() -> None:
    voice = draw_voice(np.random.default_rng(3))
    first, second = (speak(voice, np.random.default_rng(seed), RATE) for seed in (0, 1))
    assert first.shape == second.shape == (RATE,)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.5
