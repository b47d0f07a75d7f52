"""Keys that a learner pressed while the keyboard wrote Hangul: which letters of a QWERTY keyboard they are.

The table is that of 2-beolsik (KS X 5002), the usual Korean keyboard.
"""

from __future__ import annotations

import unicodedata

__all__ = ["as_typed"]

LEADING = "r R s e E f a q Q t T d w W c z x v g"
VOWELS = "k o i O j p u P h hk ho hl y n nj np nl b m ml l"
TRAILING = "r R rt s sw sg e f fr fa fq ft fx fv fg a q qt t T d w c z x v g"
# The blocks of the letters that a syllable consists of.
KEYS = {
    chr(first + number): keys
    for first, row in ((0x1100, LEADING), (0x1161, VOWELS), (0x11A8, TRAILING))
    for number, keys in enumerate(row.split())
}


def as_typed(text: str) -> str:
    """The text with the Latin keys that were pressed for Hangul: n for ㅜ, h for ㅗ, gks for 한. Other text stays."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text)
    return "".join(KEYS.get(letter, letter) for letter in apart)
