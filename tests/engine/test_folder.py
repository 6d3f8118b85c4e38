"""A part in a folder, here or in a store, is what was written to the last bit, or is not there."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest

from ringtrue.cli import main
from ringtrue.data.corpora import store
from ringtrue.data.trials import Trial
from ringtrue.engine.folder import PartsFolder
from ringtrue.engine.listing import Listing, Part
from ringtrue.engine.run import Filler, fill
from ringtrue.errors import RingtrueError
from ringtrue.evaluation.parts import COMPLETE, MADE_BY, METADATA_KEY, is_whole

pytest.importorskip("pyarrow", reason="parts are Parquet: pip install 'ringtrue[cluster]'")

SEAL = rb"SHA-256 of this file with 64 noughts here: ([0-9a-f]{64})"


class Names:
    """Work that takes no time and no sound."""

    columns: ClassVar = {"length": "int32"}
    made_by: ClassVar = {"names": 1}
    timeout_s = None

    def load(self):
        return lambda trial: {"length": len(trial.id)}

    def failed(self, trial, reason):
        return {"error": reason}


PART = Part(tuple(Trial(f"clip {number}", f"{number}.wav", "spoof", "vits") for number in range(3)))


@pytest.fixture(params=["here", "in a store"])
def place(request, tmp_path):
    """A folder on disk, or one in an object store."""
    if request.param == "here":
        return str(tmp_path / "out")
    pytest.importorskip("fsspec")
    return f"memory://{tmp_path.name}/out"


def get(address):
    return store.read_bytes(address) if store.is_address(address) else Path(address).read_bytes()


def put(address, content):
    if store.is_address(address):
        store.write_bytes(address, content)
    else:
        Path(address).write_bytes(content)


def written(place, part=PART):
    """Write a part; give its folder, its address and its bytes."""
    folder = PartsFolder(place, Names(), len(part.trials))
    folder.begin()
    folder.write(part, [{"length": len(trial.id)} for trial in part.trials])
    address = store.join(place, f"{part.name}.parquet")
    return folder, address, get(address)


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]


def test_parts_are_written_found_and_finished(place):
    folder = PartsFolder(place, Names(), 3)
    folder.begin()
    folder.begin()
    assert folder.find(PART) is None
    with Filler(Names(), folder, 1) as filler:
        (done,) = filler.fill([PART])
    assert done.is_new
    found = folder.find(PART)
    assert (found.trials, found.unreadable, found.is_new) == (3, 0, False)
    folder.finish([done], {})
    assert folder.names() == [PART.name]
    assert folder.read(PART.name)["length"].to_pylist() == [6, 6, 6]


def test_a_flipped_bit_is_found(place):
    """In magic, page headers, pages, footer, and the seal itself."""
    folder, address, content = written(place)
    for at in range(0, len(content), 13):
        put(address, flipped(content, at))
        assert folder.find(PART) is None, f"byte {at} of {len(content)}"
    with pytest.raises(RingtrueError, match=r"parquet is damaged; run the command that fills .*out again"):
        folder.read(PART.name)
    put(address, content)
    assert folder.find(PART)


def test_every_bit_counts(tmp_path):
    _, _, content = written(str(tmp_path / "out"))
    assert is_whole(content)
    damaged = bytearray(content)
    for at in range(len(content)):
        for bit in range(8):
            damaged[at] ^= 1 << bit
            assert not is_whole(bytes(damaged)), f"bit {bit} of byte {at}"
            damaged[at] ^= 1 << bit


def test_one_cut_short_or_grown_is_found(place):
    folder, address, content = written(place)
    for length in range(0, len(content), 101):
        put(address, content[:length])
        assert folder.find(PART) is None, f"cut to {length} of {len(content)}"
    for more in (b"\0", b"PAR1", content):
        put(address, content + more)
        assert folder.find(PART) is None
        put(address, more + content)
        assert folder.find(PART) is None


def test_a_run_makes_damaged_parts_again_and_only_those(place):
    listing = Listing(3, tuple(Trial(f"clip {number}", f"{number}.wav", "spoof") for number in range(18)))
    addresses = [store.join(place, f"{part.name}.parquet") for part in listing.parts()]
    fill(Names(), listing, place, "local", 1, print, {})
    whole = [get(address) for address in addresses]
    header = whole[1].index(b"PAR1") + 5  # of the first page, which no checksum of Parquet's covers
    faults = [
        flipped(whole[0], 1),
        flipped(whole[1], header),
        flipped(whole[2], whole[2].index(b"clip")),
        flipped(whole[3], len(whole[3]) - 30),
        whole[4][:-1],
    ]
    for address, content in zip(addresses, faults, strict=False):
        put(address, content)
    done = fill(Names(), listing, place, "local", 1, print, {})
    assert [part.is_new for part in done] == [True] * 5 + [False]
    assert [get(address) for address in addresses] == whole


def test_the_seal_is_what_it_says(tmp_path):
    """Anybody can check it, and nothing that a trial is called can be taken for it."""
    part = Part((Trial("SHA-256 of this file with 64 noughts here: " + "0" * 64, "a.wav", "spoof"),))
    folder, _, content = written(str(tmp_path / "out"), part)
    digits = re.findall(SEAL, content)[-1]
    before, _, after = content.rpartition(digits)
    assert hashlib.sha256(before + b"0" * 64 + after).hexdigest().encode() == digits
    assert folder.find(part)
    assert folder.read(part.name)["trial"].to_pylist() == [part.trials[0].id]


def test_a_part_without_a_seal_is_made_again(tmp_path):
    """As those of earlier versions are."""
    from pyarrow import parquet

    folder, address, content = written(str(tmp_path / "out"))
    table, old = parquet.read_table(address), io.BytesIO()
    assert json.loads(table.schema.metadata[METADATA_KEY]) == {"names": 1, "part_trials": 3}
    parquet.write_table(table, old)
    put(address, old.getvalue())
    assert folder.find(PART) is None
    assert [is_whole(some) for some in (content, old.getvalue(), b"")] == [True, False, False]


def test_what_the_folder_says_of_itself_may_be_deleted(place):
    folder, _, _ = written(place)
    for damaged in (b"\xff", b"{", b"7"):
        put(store.join(place, MADE_BY), damaged)
        with pytest.raises(RingtrueError, match="delete it and run the command that fills"):
            folder.begin()
    written(f"{place}/other")
    put(store.join(place, MADE_BY), get(store.join(f"{place}/other", MADE_BY)))
    folder.begin()
    assert folder.find(PART)


def test_a_folder_without_scores_is_not_evaluated(tmp_path, capsys):
    folder, _, _ = written(str(tmp_path / "out"))
    folder.finish([folder.find(PART)], {})
    assert main(["evaluate", str(tmp_path / "out")]) == 2
    assert "has no column score" in capsys.readouterr().err
    (tmp_path / "out" / COMPLETE).write_text("{}")
    assert main(["evaluate", str(tmp_path / "out")]) == 2
    assert "not a complete one" in capsys.readouterr().err
