"""The synthesiser's building blocks."""

import numpy as np

from models.synthetic.oscillators import RATE, TIMBRES, band, level, noise, oscillate, pluck, room, shape, since_onset


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()])


def test_a_pure_wave_has_its_frequency() -> None:
    assert abs(peak_hertz(oscillate(440.0, RATE, TIMBRES["pure"])) - 440) < 1.5


def test_harmonics_above_the_nyquist_frequency_are_left_out() -> None:
    wave = oscillate(3000.0, RATE, TIMBRES["bright"])
    spectrum = np.abs(np.fft.rfft(wave))
    alias = spectrum[[1000, 4000, 7000]].max()  # where the third and higher harmonics would fold to
    assert alias < 0.01 * spectrum[3000]


def test_a_band_holds_most_of_the_energy() -> None:
    spectrum = np.abs(np.fft.rfft(band(noise(np.random.default_rng(0), RATE), 1000, 2000))) ** 2
    assert spectrum[900:2200].sum() > 0.8 * spectrum.sum()


def test_a_gain_curve_removes_what_it_sets_to_zero() -> None:
    tones = oscillate(500.0, RATE, (1.0,)) + oscillate(4000.0, RATE, (1.0,))
    left = shape(tones, np.array([0, 1000, 1500, 8000]), np.array([1, 1, 0, 0]))
    assert peak_hertz(left) < 510
    assert np.sqrt(np.mean(left**2)) < 0.8 * np.sqrt(np.mean(tones**2))


def test_age_restarts_at_every_onset() -> None:
    age, which = since_onset(np.array([0, 100, 250]), 400)
    assert age[0] == age[100] == age[250] == 0
    assert which.tolist() == [0] * 100 + [1] * 150 + [2] * 150


def test_a_pluck_rises_and_decays() -> None:
    envelope = pluck(np.linspace(0, 1, 1000, dtype=np.float32), 0.1, 0.2)
    assert envelope[0] == 0
    assert 50 < envelope.argmax() <= 105
    assert envelope[-1] < 0.02


def test_a_room_rings_on_after_a_click() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    heard = room(np.random.default_rng(0), click, 0.5, 0.4)
    assert np.abs(heard[:100]).max() < 1e-5
    assert np.abs(heard[2000:6000]).max() > 1e-3


def test_levelling_keeps_silence() -> None:
    assert not level(np.zeros(10, np.float32)).any()
    assert np.abs(level(np.array([0.1, -0.2], np.float32), 0.8)).max() == np.float32(0.8)
