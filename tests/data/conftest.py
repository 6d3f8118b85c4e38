"""Lets this folder's tests import `starter_world`, which no import mode of pytest finds by itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
