"""Lets this folder's tests import `starter_world`, which no import mode of pytest finds by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the prefix with the miniature packages; tests that change it work on a copy."""
    from starter_world import make_packages

    folder = tmp_path_factory.mktemp("debian")
    make_packages(folder)
    return folder
