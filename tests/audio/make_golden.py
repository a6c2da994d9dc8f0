"""Golden features of the audio front end: formulas in float64, nothing shared with the Rust code.

Writes golden.txt beside it: for each case the settings, the samples of one frame, the log-mel bands and the
MFCC, in units of log2 of the energy. Made with Python 3 and NumPy 2.4, SciPy 1.17:

    python3 make_golden.py
"""
import pathlib

import numpy as np
import scipy.fft

# sample rate, frame, fft, bands, coefficients, low, high, floor, reference
SPEECH_8K = (8000, 320, 512, 40, 10, 20, 4000, 10, 24)
SPEECH_16K = (16000, 640, 1024, 40, 10, 20, 4000, 10, 24)
SMALL = (8000, 200, 256, 20, 13, 100, 3800, 10, 0)
LARGE = (44100, 2048, 2048, 64, 20, 50, 16000, 16, 30)


def mel(hz):
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def triangles(rate, fft, bands, low, high):
    """HTK triangles, straight in mel, without the constant frequency (TensorFlow's linear_to_mel_weight_matrix)."""
    edges = np.linspace(mel(low), mel(high), bands + 2)
    frequency = mel(np.arange(fft // 2 + 1) * rate / fft)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def features(settings, samples):
    rate, frame, fft, bands, coefficients, low, high, floor, reference = settings
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(frame) / frame)
    power = np.abs(np.fft.rfft(samples * window, fft)) ** 2
    log_mel = np.log2(power @ triangles(rate, fft, bands, low, high) + 2.0**floor) - reference
    return log_mel, scipy.fft.dct(log_mel, type=2, norm="ortho")[:coefficients]


def signals(rate, count):
    rng = np.random.default_rng(2112_06281)
    time = np.arange(count) / rate
    sine = lambda hz: np.sin(2.0 * np.pi * hz * time)
    voice = sum(sine(130.0 * k) / k for k in range(1, 20))
    yield "silence", np.zeros(count)
    yield "least", np.full(count, -32768)
    yield "square", np.where(sine(250.0) >= 0, 32767, -32768)
    yield "alternating", np.where(np.arange(count) % 2 == 0, 32767, -32768)
    yield "impulse", 32767 * (np.arange(count) == count // 2)
    yield "one", 1.0 * (np.arange(count) == count // 3)
    yield "sine", 30000 * sine(440.0)
    yield "quiet", 100 * sine(1000.0) + 40
    yield "chirp", 20000 * np.sin(2.0 * np.pi * (200.0 + 0.4 * rate * time * rate / count) * time)
    yield "loud-noise", rng.uniform(-32768, 32767, count)
    yield "noise", rng.normal(0, 3000, count)
    yield "last-bit", rng.integers(-1, 2, count)
    yield "voice", 6000 * voice + rng.normal(0, 10, count)
    yield "far-apart", 30000 * sine(300.0) + 3 * sine(2900.0)


def main():
    numbers = lambda values: " ".join(f"{value:.9g}" for value in values)
    lines = ["# Made by make_golden.py; see there."]
    for settings in (SPEECH_8K, SPEECH_16K, SMALL, LARGE):
        for name, samples in signals(settings[0], settings[1]):
            samples = np.clip(np.round(samples), -32768, 32767)
            log_mel, mfcc = features(settings, samples)
            lines += [f"case {name}", numbers(settings), numbers(samples), numbers(log_mel), numbers(mfcc)]
    path = pathlib.Path(__file__).with_name("golden.txt")
    path.write_text("\n".join(lines) + "\n")


main()
