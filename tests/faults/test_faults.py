"""No fault loses work: killed, out of disk, in company or out of time, a job ends in what it would have ended in."""

import random

import pytest
from harness import Fault, Running, can_mount, live
from jobs import JOBS, artefacts

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
_LONGEST = 60  # lives in a row that no kill fell in: then something else is wrong


@pytest.fixture(scope="session")
def ground(tmp_path_factory, material):
    """The folder that jobs work below, with their material in it."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "material").symlink_to(material)
    return folder


@pytest.fixture(scope="session")
def undisturbed(ground):
    """`undisturbed(job)`: what it leaves, and how often it accesses files on the way."""
    known = {}

    def undisturbed(job):
        if job not in known:
            life = live(job, ground / f"{job}-undisturbed", ground / "material")
            assert life.done, life.said
            known[job] = artefacts(ground / f"{job}-undisturbed"), life.events
        return known[job]

    return undisturbed


@pytest.mark.parametrize("job", JOBS)
def test_killed_and_started_again_it_ends_as_if_it_had_not_been(job, ground, undisturbed, request):
    """At accesses to files, where states on disk change; every other kill falls at a moment of the clock."""
    wanted, events = undisturbed(job)
    rng = random.Random(f"{job} {request.config.getoption('--kills-seed')}")
    kills = lives = 0
    while kills < request.config.getoption("--kills"):
        folder = ground / f"{job}-{lives}"
        done = False
        while not done:
            fault = Fault(at_event=rng.randint(1, events), clock=lives)
            if kills >= request.config.getoption("--kills"):
                fault = Fault(clock=lives)
            life = live(job, folder, ground / "material", fault)
            assert life.done or life.killed, f"{fault}: {life.said}"
            kills, lives, done = kills + life.killed, lives + 1, life.done
        assert artefacts(folder) == wanted, f"{job} after {kills} kills"
