"""Text files of the unpacked packages -> sentences in many languages, each of which belongs to one split.

Two packages say the same things in dozens of languages: the dialogues of a game (fillets-ng-data) and the
captions of a drawing program's stamps (tuxpaint-stamps-default). People recorded some of them; the rest is
what the synthesisers read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ringtrue.files import stable_int

FILLETS = Path("usr/share/games/fillets-ng")
STAMPS = Path("usr/share/tuxpaint/stamps")

SHARES = {
    # family: shares of its sentences in train, dev and test; a family without a dev speaker gives dev nothing
    "fillets": (0.50, 0.25, 0.25),
    "tuxpaint": (0.45, 0.20, 0.35),
    "asterisk": (0.55, 0.00, 0.45),
    "festvox-ru": (0.00, 0.00, 1.00),
}

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_DIALOGUE = re.compile(rf"dialogId\(\s*{_QUOTED},\s*{_QUOTED},\s*{_QUOTED}\)(?:\s*dialogStr\({_QUOTED}\))?")
_CAPTION = re.compile(r"([A-Za-z_]+)(?:@\w+)?\.utf8=(.*)")


@dataclass(frozen=True)
class Line:
    """One sentence in one language.

    Attributes:
        sentence: Key that is the same for every translation of it: ``family:original text``.
        language: ISO 639 code.
        text: The words in that language.
        package: Debian package that carries it.
    """

    sentence: str
    language: str
    text: str
    package: str


def sentence_key(family: str, original: str) -> str:
    """Name a sentence by its original wording, so that a wording used in two places is one sentence.

    Args:
        family: A key of `SHARES`.
        original: The wording in the family's original language, or a name where none is known.

    Returns:
        The key.

    >>> sentence_key("tuxpaint", "A  Penny.") == sentence_key("tuxpaint", "a penny")
    True
    """
    return f"{family}:{plain(original)}"


def split_of(sentence: str) -> str:
    """Say which split may use a sentence, in any language and from any mouth.

    Args:
        sentence: A key made by `sentence_key`.

    Returns:
        ``"train"``, ``"dev"`` or ``"test"``: a stable hash, weighted by the family's `SHARES`.
    """
    train, dev, _ = SHARES[sentence.split(":", 1)[0]]
    position = stable_int("sentence", sentence) / 2**64
    return "train" if position < train else "dev" if position < train + dev else "test"


Sentence = TypeVar("Sentence")


def drop_shared(items: Iterable[Sentence], key: Callable[[Sentence], tuple[str, str]]) -> list[Sentence]:
    """Leave out what has the same words as something in another split.

    Two sentences that differ in English may be one in Danish; then neither side may keep it.

    Args:
        items: Lines or utterances.
        key: Item -> (sentence key, text).

    Returns:
        The items whose words occur in one split only, in their order.
    """
    items = list(items)
    splits = defaultdict(set)
    for item in items:
        sentence, text = key(item)
        splits[plain(text)].add(split_of(sentence))
    return [item for item in items if len(splits[plain(key(item)[1])]) == 1]


def plain(text: str) -> str:
    """Reduce a text to its lower-case words.

    Args:
        text: Any text.

    Returns:
        Letters and digits, single-spaced.

    >>> plain("Hello,  World!")
    'hello world'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", text))


def dialogues(prefix: Path, language: str) -> Iterator[tuple[str, Line]]:
    """Read the game's dialogues in one language.

    Args:
        prefix: Folder that fillets-ng-data is unpacked in.
        language: ISO 639 code.

    Yields:
        ``level/dialogue id``, which also names the recordings, and the line.
    """
    for path in sorted((prefix / FILLETS / "script").glob(f"*/dialogs_{language}.lua")):
        for name, _font, original, said in _DIALOGUE.findall(path.read_text("utf-8", errors="replace")):
            if text := _unescape(original if language == "en" else said):
                key = sentence_key("fillets", _unescape(original))
                yield f"{path.parent.name}/{name}", Line(key, language, text, "fillets-ng-data")


def captions(path: Path) -> dict[str, Line]:
    """Read the translations of one stamp's caption.

    Args:
        path: A stamp's ``.txt``: the English caption, then ``language.utf8=caption`` lines.

    Returns:
        Language -> line. Of regional variants the plain language wins, else the first one.
    """
    first, *rest = path.read_text("utf-8", errors="replace").splitlines() or [""]
    sentence = sentence_key("tuxpaint", first)
    found = {"en": Line(sentence, "en", first.strip(), "tuxpaint-stamps-default")}
    for row in rest:
        if match := _CAPTION.fullmatch(row.strip()):
            language, text = match[1].split("_")[0], match[2].strip()
            if text and (language not in found or language == match[1]):
                found[language] = Line(sentence, language, text, "tuxpaint-stamps-default")
    return found


def readable_lines(prefix: Path, languages: Iterable[str]) -> list[Line]:
    """List what a synthesiser may be asked to read: single sentences that last a few seconds.

    Args:
        prefix: Folder that the packages are unpacked in.
        languages: ISO 639 codes.

    Returns:
        Lines without repeats, in a stable order that is random in content.
    """
    languages = sorted(set(languages))
    lines = [line for language in languages for _, line in dialogues(prefix, language)]
    for path in sorted((prefix / STAMPS).rglob("*.txt")):
        found = captions(path)
        lines += [found[language] for language in languages if language in found]
    lines = drop_shared(lines, lambda line: (line.sentence, line.text))
    unique = {(line.language, plain(line.text)): line for line in lines if is_readable(line.text)}
    return sorted(unique.values(), key=lambda line: stable_int("line", line.language, line.text))


def is_readable(text: str) -> bool:
    """Say whether a text makes a spoken clip of about two to nine seconds, without figures or symbols.

    Args:
        text: Any text.

    Returns:
        True for 20 to 120 characters of words and punctuation.

    >>> is_readable("What kind of strange ship is that?"), is_readable("25 cents ($.25), a quarter.")
    (True, False)
    """
    return 20 <= len(text) <= 120 and not re.search(r"[\d$€£%&@#<>{}\[\]|\\/=_*]", text)


def _unescape(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\\(.)", r"\1", text)).strip()
