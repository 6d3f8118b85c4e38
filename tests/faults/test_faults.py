"""No fault loses work: killed, out of disk, in company, out of time, a job ends in what it would have ended in.

`make faults` kills each job fifty times; the default suite has time for a few.
"""

import random

import pytest
from harness import Fault, Running, can_mount, live
from jobs import JOBS, artefacts


@pytest.fixture(scope="session")
def ground(tmp_path_factory, material):
    """The folder that jobs work below, with their material in it."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "material").symlink_to(material)
    return folder


@pytest.fixture(scope="session")
def undisturbed(ground):
    """`undisturbed(job)`: what it leaves, how often it accesses files on the way, and how many bytes it writes."""
    known = {}

    def undisturbed(job):
        if job not in known:
            folder = ground / f"{job}-undisturbed"
            life = live(job, folder, ground / "material")
            assert life.done, life.said
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            known[job] = artefacts(folder), life.events, size
        return known[job]

    return undisturbed


@pytest.fixture
def a_disk_of_its_own(ground):
    (ground / "disk").mkdir(exist_ok=True)
    if not can_mount(ground / "disk"):
        pytest.skip("processes may not mount anything here")


@pytest.mark.parametrize("job", JOBS)
def test_killed_it_goes_on_and_ends_in_the_same(job, ground, undisturbed, request):
    """Killed at accesses to files, where states on disk change, while the clock jumps by up to a day."""
    wanted, events, _ = undisturbed(job)
    asked = request.config.getoption("--kills")
    rng = random.Random(f"{job} {request.config.getoption('--kills-seed')}")
    kills = lives = 0
    while kills < asked:
        folder = ground / f"{job}-{lives}"
        done = False
        while not done:
            at = rng.randint(1, events) if kills < asked else None
            life = live(job, folder, ground / "material", Fault(at_event=at, clock=lives))
            assert life.done or life.killed, f"life {lives}, killed at {at}: {life.said}"
            kills, lives, done = kills + life.killed, lives + 1, life.done
        assert artefacts(folder) == wanted, f"after {kills} kills in {lives} lives"


def test_killed_when_all_but_clearing_up_is_done_it_still_clears_up(ground, undisturbed):
    wanted, events, _ = undisturbed("scoring")
    for back in range(3):
        folder = ground / f"scoring-last-{back}"
        live("scoring", folder, ground / "material", Fault(at_event=events - back))
        assert live("scoring", folder, ground / "material").done
        assert artefacts(folder) == wanted


@pytest.mark.parametrize("job", ["training", "scoring", "parts", "corpus"])
def test_two_in_one_folder_end_in_the_same(job, ground, undisturbed):
    """Both do the work, or one waits, or one is refused: nobody spoils what the other does."""
    folder = ground / f"{job}-shared"
    both = [Running(job, folder, ground / "material") for _ in range(2)]
    ends = [running.end() for running in both]
    assert any(life.done for life in ends)
    for life in ends:
        assert life.done or f"another process is training in {folder}" in life.said
    assert artefacts(folder) == undisturbed(job)[0]


@pytest.mark.usefixtures("a_disk_of_its_own")
@pytest.mark.parametrize("job", ["training", "features", "scoring", "parts"])
def test_out_of_disk_it_says_so_and_goes_on_when_there_is_room(job, ground, undisturbed):
    wanted, _, size = undisturbed(job)
    life = live(job, ground / f"{job}-full", ground / "material", Fault(disk_bytes=max(4096, size // 2)))
    assert "No space left on device" in life.said
    assert life.done
    assert life.artefacts == wanted


@pytest.mark.usefixtures("a_disk_of_its_own")
@pytest.mark.parametrize("job", JOBS)
def test_a_folder_that_may_not_be_written_is_named(job, ground):
    folder = ground / f"{job}-read-only"
    life = live(job, folder, ground / "material", Fault(read_only=True))
    assert not life.done
    assert "Read-only file system" in life.said
    assert str(folder) in life.said
