#!/usr/bin/env bash
# A path -> a virtual environment with pip there, also on a Debian that lacks python3-venv, and without root.
set -euo pipefail
target=$1
python=${PYTHON:-python3}

"$python" - <<'CHECK' || { echo "ringtrue needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 2; }
import sys
sys.exit(sys.version_info < (3, 11))
CHECK

if [ -x "$target/bin/python" ] && "$target/bin/python" -m pip --version >/dev/null 2>&1; then
  exit 0
fi
rm -rf "$target"
if "$python" -m venv "$target" >/dev/null 2>&1; then
  exit 0
fi

# Debian keeps pip for new environments in a package of its own. Its wheel can be run without installing it.
rm -rf "$target"
"$python" -m venv --without-pip "$target"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if (cd "$scratch" && apt-get download python3-pip-whl >/dev/null 2>&1); then
  dpkg -x "$scratch"/python3-pip-whl_*.deb "$scratch/pip"
  wheel=$(find "$scratch/pip" -name 'pip-*.whl' | head -n 1)
  "$target/bin/python" "$wheel/pip" install --quiet "$wheel"
else
  echo "this Python cannot make virtual environments with pip: install python3-venv and run again" >&2
  rm -rf "$target"
  exit 2
fi
