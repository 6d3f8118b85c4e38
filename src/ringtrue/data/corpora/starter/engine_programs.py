"""Text -> speech by programs from Debian packages (espeak-ng, flite, festival); runs inside engine_worker.

The programs lie under a prefix, not in /usr, so each call says where their data is.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Speech = tuple[Any, int]  # float32 wave (T,) and its rate in Hz
Job = dict[str, Any]
Settings = dict[str, Any]

ESPEAK_LANGUAGES = {"en": "en-us", "fr": "fr-fr"}  # others go by their ISO 639 code
_TIME_LIMIT_S = 60


def run_program(command: list[str], settings: Settings, **options: Any) -> str:
    """Run a program of the prefix and return what it prints; raises RuntimeError with its first complaint."""
    done = subprocess.run(
        command,
        env=settings["environment"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIME_LIMIT_S,
        check=False,
        **options,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(
            f"{Path(command[0]).name} ended with status {done.returncode}: {[*words, 'no message'][0].strip()}"
        )
    return str(done.stdout, errors="replace")


def espeak_formant(job: Job, settings: Settings) -> Speech:
    """Formant synthesis by espeak-ng; the voice is a variant (``m3``, ``f2``) or ``default``."""
    language = str(job["language"])
    voice = ESPEAK_LANGUAGES.get(language, language)
    if job["voice"] != "default":
        voice += f"+{job['voice']}"
    program = _program(settings, "espeak-ng")
    return _spoken(lambda out: run_program([program, "-v", voice, "-w", out, "--", job["text"]], settings))


def flite_kal_diphone(job: Job, settings: Settings) -> Speech:
    """Residual-excited LPC diphones by flite."""
    return _flite(job, settings)


def flite_clustergen(job: Job, settings: Settings) -> Speech:
    """Statistical parametric synthesis (CLUSTERGEN) by flite."""
    return _flite(job, settings)


def festival_diphone_cs(job: Job, settings: Settings) -> Speech:
    """Czech diphones by festival."""
    voice = job["voice"]
    # The voice file names its data by absolute path, through a variable that keeps a value set before.
    data = f"{_festival_data(settings)}/voices/czech/czech_{voice}/group/{voice}.group"
    prelude = f'(set! czech-{voice}-unisyn-index "{data}")'
    return _festival(job, settings, f"{prelude}\n(voice_czech_{voice})", "iso-8859-2")


def festival_diphone_it(job: Job, settings: Settings) -> Speech:
    """Italian diphones by festival."""
    return _festival(job, settings, f"(voice_{job['voice']}_diphone)", "iso-8859-1")


def festival_hts_slt(job: Job, settings: Settings) -> Speech:
    """Hidden Markov model synthesis (HTS engine, MLSA filter) by festival."""
    return _festival(job, settings, "(voice_cmu_us_slt_arctic_hts)", "ascii")


def festival_clunits_ru(job: Job, settings: Settings) -> Speech:
    """Russian unit selection by festival."""
    return _festival(job, settings, "(voice_msu_ru_nsh_clunits)", "utf-8")


def _flite(job: Job, settings: Settings) -> Speech:
    program = _program(settings, "flite")
    return _spoken(
        lambda out: run_program([program, "-voice", job["voice"], "-t", job["text"], "-o", out], settings)
    )


def _festival(job: Job, settings: Settings, choose_voice: str, encoding: str) -> Speech:
    text = job["text"].replace("\\", " ").replace('"', " ")  # so it cannot leave the Scheme string
    data = _festival_data(settings)

    def speak(out: str) -> None:
        script = (
            f"{choose_voice}\n"
            f'(let ((utterance (Utterance Text "{text}")))\n'
            f'  (utt.synth utterance) (utt.save.wave utterance "{out}" (quote riff)))\n'
        )
        with tempfile.NamedTemporaryFile(suffix=".scm") as file:
            file.write(script.encode(encoding, errors="ignore"))
            file.flush()
            # The Czech lexicon is looked for in the working folder and in /usr, nowhere else.
            run_program(
                [_program(settings, "festival"), "--datadir", data, "-b", file.name], settings, cwd=data
            )

    return _spoken(speak)


def _festival_data(settings: Settings) -> str:
    return f"{settings['prefix']}/usr/share/festival"


def _program(settings: Settings, name: str) -> str:
    return f"{settings['prefix']}/usr/bin/{name}"


def _spoken(speak: Callable[[str], object]) -> Speech:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        speak(str(out))
        if not out.is_file():
            raise RuntimeError("the program left no recording")
        wave, rate_hz = soundfile.read(out, dtype="float32")
    return wave, rate_hz
