"""What is installed -> docs/licences.md: every package that ringtrue's extras bring, its licence, and whether it fits.

Ends with 1 where a licence is not known, does not fit Apache-2.0, is not in the document, or stands there for another
version than constraints.txt pins.

    python scripts/licences.py            # check
    python scripts/licences.py --write    # write the document; needs all of ringtrue[all,dev]
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

DOCUMENT = Path(__file__).parents[1] / "docs" / "licences.md"
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
EXTRAS = {"run": {"all"}, "develop": {"dev"}}

# A program under Apache-2.0 may use these. Weak copyleft (LGPL, MPL) asks for nothing from who only imports a package.
FITS = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CNRI-Python", "ISC", "LGPL-2.1-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
SPELT = {  # how packages without a licence expression say it
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Said by nothing but the licence file in the package itself.
READ = {"axe-playwright-python": "MIT", "pyworld-prebuilt": "MIT"}


def plain(name: str) -> str:
    """Spell a package's name in the one way that all spellings come to."""
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies(name: str, extras: set[str]) -> set[str]:
    """Follow what a distribution requires on this machine; names of what is not installed too."""
    found: dict[str, set[str]] = {}
    todo = [(name, extras | {""})]
    while todo:
        one, asked = todo.pop()
        one = plain(one)
        new = asked - found.get(one, set())
        if not new:
            continue
        found[one] = found.get(one, set()) | new
        try:
            required = metadata.requires(one) or []
        except metadata.PackageNotFoundError:
            continue
        for line in required:
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in new):
                todo.append((wanted.name, wanted.extras | {""}))
    return set(found) - {name}


def licence(name: str) -> str:
    """Give a package's licence as an SPDX expression; empty if it is not known."""
    said = metadata.metadata(name)
    if expression := said.get("License-Expression"):
        return str(expression)
    classifiers = [line.split("::")[-1].strip() for line in said.get_all("Classifier") or []]
    words = [said.get("License") or "", *classifiers]
    for word in words:
        if word in SPELT or fits(word):
            return SPELT.get(word, word)
    return READ.get(name, "")


def fits(expression: str) -> bool:
    """Say whether a package under this licence may be depended on: of alternatives, one has to fit."""
    parts = re.sub(r"[()]", "", expression).split(" AND ")
    return all(any(one.strip() in FITS for one in part.split(" OR ")) for part in parts)


def version(name: str) -> str:
    """Give the version of a package that is here; empty if it is not."""
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def listing(names: dict[str, set[str]]) -> str:
    """Give the document's table."""
    rows = []
    for name in sorted(set().union(*names.values())):
        use = "run" if name in names["run"] else "develop"
        rows.append(f"| {name} | {version(name)} | {licence(name)} | {use} |")
    return "\n".join(rows) + "\n"


def gaps(rows: str, here: set[str]) -> list[str]:
    """Say what the document's table lacks of what is here, and of what is pinned."""
    known = {cells[1].strip(): cells[2].strip() for cells in (line.split("|") for line in rows.splitlines())}
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text(encoding="utf-8").split())
    pins = {plain(name): pinned for name, pinned in pins.items()}
    lines = [f"{name}: not in {DOCUMENT.name}" for name in sorted(here - set(known) - set(pins))]
    lines += [
        f"{name}: {CONSTRAINTS.name} pins {pinned}, and {DOCUMENT.name} has {known.get(name, 'none')}"
        for name, pinned in sorted(pins.items())
        if known.get(name) != pinned
    ]
    return [f"{line}; install ringtrue[all,dev] and run with --write" for line in lines]


def main() -> int:
    """Check, or write the document."""
    wanted = {use: dependencies("ringtrue", extras) for use, extras in EXTRAS.items()}
    names = {use: {name for name in those if version(name)} for use, those in wanted.items()}
    here, faults = set().union(*names.values()), []
    for name in sorted(here):
        if not licence(name):
            faults.append(f"{name}: its licence is not known; read it, and add it to READ in {__file__}")
        elif not fits(licence(name)):
            faults.append(f"{name}: {licence(name)} does not fit Apache-2.0, or is not in FITS yet")
    before, mark, old = DOCUMENT.read_text(encoding="utf-8").partition("| --- | --- | --- | --- |\n")
    absent = sorted(set().union(*wanted.values()) - here)
    if "--write" not in sys.argv:
        faults += gaps(old, here)
    elif absent:
        faults.append(
            f"not installed, and so not known: {', '.join(absent)}; pip install 'ringtrue[all,dev]'"
        )
    else:
        DOCUMENT.write_text(before + mark + listing(names), encoding="utf-8")
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
