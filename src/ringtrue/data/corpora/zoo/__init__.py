"""People's recordings -> the same said again by a zoo of pseudo-generators: pairs to learn machine speech from.

The reading path: `methods` (all of them, by family), `speech` and `spectra` (what they are made of), `copies` (one
recording and its copies), `builder` (all of it).
"""

from ringtrue.data.corpora.zoo.builder import Wish, build, wish_of

__all__ = ["Wish", "build", "wish_of"]
