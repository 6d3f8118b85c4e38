"""The npm package of ONNX Runtime -> the files that let the page judge by itself, checked against a pinned hash.

`make browser` runs this. It needs npm, for the download only: nothing of the package is run or built here.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = (
    "package.json",  # says the version
    "dist/ort.wasm.bundle.min.mjs",
    "dist/ort-wasm-simd-threaded.wasm",
)
LICENCES = (
    "LICENSE",
    "ThirdPartyNotices.txt",
)  # the npm package has none; the Python one is of the same source
TARGET = Path(__file__).parents[1] / "src/ringtrue/serve/runtime"


def main() -> None:
    """Fetch, check, and put the files in place at once."""
    npm, python_package = shutil.which("npm"), find_spec("onnxruntime")
    if npm is None or python_package is None or python_package.origin is None:
        raise SystemExit("this needs npm (apt-get install npm) and ringtrue installed in this Python")
    with tempfile.TemporaryDirectory(dir=TARGET.parent, prefix=".runtime-") as folder:
        scratch = Path(folder)
        subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (archive,) = scratch.glob("*.tgz")
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise SystemExit(f"{PACKAGE} has the hash {found} and not {INTEGRITY}: nothing was installed")
        made = scratch / "runtime"
        made.mkdir()
        with tarfile.open(archive) as package:
            for name in FILES:
                content = package.extractfile(f"package/{name}")
                assert content is not None, name
                (made / Path(name).name).write_bytes(content.read())
        for name in LICENCES:
            shutil.copyfile(Path(python_package.origin).parent / name, made / name)
        shutil.rmtree(TARGET, ignore_errors=True)
        made.rename(TARGET)
    size = sum(path.stat().st_size for path in TARGET.iterdir())
    sys.stdout.write(f"{PACKAGE}, MIT: {size / 2**20:.1f} MiB in {TARGET}\n")


if __name__ == "__main__":
    main()
