"""Writes the small text of the walk-throughs: a verb agrees with a noun before it.

Run ``.venv/bin/python book/agreement.py [FOLDER]``; it writes train.txt, valid.txt,
test.txt and vocabulary.txt (a word a line, in the order of ids) into FOLDER, ``texts``.
"""

import sys
from pathlib import Path

import numpy as np

NOUNS = ["cat", "dog", "child", "bird", "king"]
VERBS = ["sleep", "run", "sing", "think"]
SIZES = {"train": 20_000, "valid": 1_000, "test": 1_000}  # lines


def sentences(n_lines, rng):
    """Yield ``the kings near the dog run .`` and the like, up to five words between."""
    drawn = (rng.choice(words, n_lines) for words in (NOUNS, NOUNS, VERBS))
    for noun, other, verb in zip(*drawn, strict=True):
        plural, middle = rng.integers(2), rng.integers(3)
        clause = ["", f" near the {other}", f" that sees the {other}s"][middle]
        subject = f"the {noun}" + "s" * plural
        yield subject + clause + f" {verb}" + "s" * (1 - plural) + " ."


def write(folder):
    """Write the three texts and their vocabulary."""
    rng, folder = np.random.default_rng(1), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split, n_lines in SIZES.items():
        text = "\n".join(sentences(n_lines, rng)) + "\n"
        (folder / f"{split}.txt").write_text(text)
        if split == "train":
            tokens = ["<eos>", *sorted(set(text.split()))]  # <eos>: the end of a line
            (folder / "vocabulary.txt").write_text("\n".join(tokens) + "\n")


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else "texts")
