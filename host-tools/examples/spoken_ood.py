"""Sounds that are no spoken digits, from recordings of them: the out-of-distribution sets of docs/audio.md.

    python3 spoken_ood.py RECORDINGS OUT      # folders of WAV files; standard library only

OUT/reversed: the test recordings (numbers 0 to 4) backwards: sounds of the same voices, no digits. OUT/noise: white
noise as long and as loud (root mean square) as each of them.
"""
import array
import pathlib
import random
import sys
import wave


def main(source, out):
    random.seed(0)
    for path in sorted(pathlib.Path(source).glob("*_[0-4].wav")):
        with wave.open(str(path)) as file:
            parameters, samples = file.getparams(), array.array("h", file.readframes(file.getnframes()))
        loudness = (sum(sample * sample for sample in samples) / len(samples)) ** 0.5
        noise = (max(-32768, min(32767, round(random.gauss(0, loudness)))) for _ in samples)
        for kind, made in [("reversed", samples[::-1]), ("noise", array.array("h", noise))]:
            folder = pathlib.Path(out) / kind
            folder.mkdir(parents=True, exist_ok=True)
            with wave.open(str(folder / path.name), "wb") as file:
                file.setparams(parameters)
                file.writeframes(made.tobytes())


main(*sys.argv[1:])
