"""The same folder from a Ray cluster: two raylets on this machine, each with one CPU, so that both have to work."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ringtrue.data.corpora import store
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.engine.listing import Listing, find_tables
from ringtrue.engine.run import fill
from ringtrue.engine.work import Featuring, Scoring
from ringtrue.errors import CheckpointError

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ringtrue[cluster]'")
pytest.importorskip("ray.data", reason="Ray Data is not whole: pip install 'ringtrue[cluster]'")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes; the driver is connected to them."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture
def local(tiny_onnx, manifest, tmp_path, files_in):
    """What the local engine makes of the manifest in parts of two."""
    fill(Scoring.by(tiny_onnx), listed(manifest), str(tmp_path / "local"), "local", 1, print, {})
    return files_in(tmp_path / "local")


def listed(manifest):
    return Listing(2, tuple(read_manifest(manifest)))


def test_both_engines_make_the_same_bytes(cluster, tiny_onnx, manifest, local, tmp_path, files_in):
    done = fill(Scoring.by(tiny_onnx), listed(manifest), str(tmp_path / "ray"), "ray", 2, print, {})
    assert sum(part.trials for part in done) == 11
    assert sum(part.unreadable for part in done) == 2
    assert files_in(tmp_path / "ray") == local


def test_tables_at_addresses_are_read_by_the_cluster(cluster, tiny_onnx, manifest, local, tmp_path, rows_in):
    tables = tmp_path / "tables"
    tables.mkdir()
    header, *lines = manifest.read_text().splitlines()
    rows = [line.replace("\t", f"\t{manifest.parent}/", 1) for line in lines]
    (tables / "a.tsv").write_text("\n".join([header, *rows[:4]]) + "\n")
    (tables / "b.tsv").write_text("\n".join([header, *rows[4:]]) + "\n")
    listing = Listing(2, addresses=find_tables(f"{store.LOCAL}{tables}"), splits=("test",))
    assert len(listing.addresses) == 2
    fill(Scoring.by(tiny_onnx), listing, str(tmp_path / "ray"), "ray", 0, print, {})
    wanted, found = rows_in(tmp_path / "local"), rows_in(tmp_path / "ray")
    assert {trial: row["score"] for trial, row in found.items()} == {
        trial: row["score"] for trial, row in wanted.items()
    }


def test_features_go_on_from_a_damaged_folder_of_the_local_engine(cluster, manifest, tmp_path, files_in):
    pytest.importorskip("torch")
    work, out = Featuring.by("log-mel", 0, 5), tmp_path / "out"
    fill(work, listed(manifest), str(out), "local", 1, print, {})
    whole = files_in(out)
    damaged, *_ = sorted(whole)
    (out / damaged).write_bytes(whole[damaged][:5] + bytes([whole[damaged][5] ^ 1]) + whole[damaged][6:])
    done = fill(work, listed(manifest), str(out), "ray", 2, print, {})
    assert [f"{part.name}.parquet" for part in done if part.is_new] == [damaged]
    assert files_in(out) == whole


def actors():
    """Find the processes of Ray Data's actors by what they call themselves."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may have ended since
            if path.read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(path.parent.name))
    return found


def test_a_worker_that_is_killed_costs_nothing(cluster, tiny_onnx, manifest, local, tmp_path, files_in):
    """An actor is killed as soon as it has written a part; Ray starts another, which goes on."""
    out = tmp_path / "ray"

    def kill_one_actor():
        while not list(out.glob("[!.]*.parquet")):
            time.sleep(0.02)
        killed.extend(actors()[:1])
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    killed = []
    killer = threading.Thread(target=kill_one_actor, daemon=True)
    killer.start()
    fill(Scoring.by(tiny_onnx), listed(manifest), str(out), "ray", 2, print, {})
    killer.join(timeout=60)
    assert killed
    assert files_in(out) == local


def test_an_error_of_a_worker_is_one_of_ours(cluster, tiny_onnx, manifest, tmp_path):
    work = Scoring.by(tiny_onnx)
    other = Scoring(work.name, work.content, {**work.made_by, "decoder": "soundfile 0.1"})
    with pytest.raises(CheckpointError, match="give all machines the same versions"):
        fill(other, listed(manifest), str(tmp_path / "out"), "ray", 1, print, {})
