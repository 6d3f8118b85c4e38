"""The corpora that can be had by name: what each is, needs and comes from, and who reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ringtrue.data.corpora import (
    arena,
    asvspoof5,
    asvspoof2019,
    asvspoof2021,
    codecfake,
    dfadd,
    fake_or_real,
    folder,
    in_the_wild,
    librispeech,
    m_ailabs,
    mlaad,
    mlaad_hub,
    mlaad_tiny,
    mlaad_tracing,
    table,
    wavefake,
)
from ringtrue.data.corpora.rows import Progress
from ringtrue.data.forms import FORMS
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.files import cache_dir


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be had by name.

    Attributes:
        summary: What it is, in one line.
        needs: What must be at hand to have it.
        origin: Where it comes from.
        get: Reads it from a folder, after fetching or building it there if it can.
        options: Names of the options that `get` takes.
        is_local: Whether the folder must be there before.
        is_built: Whether it is made here, and so looks after itself: no index of it is kept.
        prepare: Does what `get` does, and what must be done once besides; `get` if there is nothing.
    """

    summary: str
    needs: str
    origin: str
    get: Callable[..., list[Trial]]
    options: tuple[str, ...] = ()
    is_local: bool = True
    is_built: bool = False
    prepare: Callable[..., list[Trial]] | None = None


def _starter(size: str) -> Callable[[Path, Progress], list[Trial]]:
    def get(root: Path, progress: Progress, form: str = "") -> list[Trial]:
        from ringtrue.data.corpora import starter

        if form and form not in FORMS:
            raise CorpusError(f"form={form}: accepted are {', '.join(FORMS)}")
        built = starter.build(size, root, cache_dir(), workers=min(os.cpu_count() or 1, 8), progress=progress)
        return FORMS[form](built) if form else built

    return get


def _zoo(root: Path, progress: Progress, **options: str) -> list[Trial]:
    from ringtrue.data.corpora import zoo

    return zoo.build(zoo.wish_of(options), root, workers=min(os.cpu_count() or 1, 16), progress=progress)


CORPORA: dict[str, Corpus] = {
    "starter-small": Corpus(
        "about 1,600 human and machine clips, 10 synthesisers and 5 vocoders, 17 speakers, 12 languages",
        "apt-get, dpkg and pip (no root); about 1 GB of packages, 10 minutes",
        "built here from distribution packages",
        _starter("small"),
        ("form",),
        is_local=False,
        is_built=True,
    ),
    "starter-full": Corpus(
        "about 2,400 human clips and 200 for each training system",
        "the same; about an hour; ?form=matched|confounded trains on pairs, or with language tied to label",
        "built here from distribution packages",
        _starter("full"),
        ("form",),
        is_local=False,
        is_built=True,
    ),
    "starter-paired": Corpus(
        "starter-full, and every training recording copied by each of three vocoders: 3,500 training pairs",
        "the same; a quarter of an hour more",
        "built here from distribution packages",
        _starter("paired"),
        ("form",),
        is_local=False,
        is_built=True,
    ),
    "zoo": Corpus(
        "people of another corpus, and each of their recordings said again by methods of ten families",
        "ringtrue[probe]; ?of=CORPUS (starter-full), copies=7, seed=0, dev=harmonic and test=splicing or none",
        "built here from another corpus",
        _zoo,
        ("of", "copies", "seed", "dev", "test", "vocoders"),
        is_local=False,
        is_built=True,
    ),
    "mlaad": Corpus(
        "machine speech of up to 140 systems in 51 languages; pair it with m-ailabs or librispeech",
        "FOLDER/fake/<language>/<model>/*.wav and meta.csv, versions 1 to 9",
        "https://deepfake-total.com/mlaad",
        mlaad.read,
        ("languages",),
        prepare=mlaad.prepare,
    ),
    "mlaad-hub": Corpus(
        "the same from the hub, file by file; goes on where it stopped",
        "ringtrue[hub], the terms accepted on the hub, HF_TOKEN; 240 GB, ?languages=en,de, or ?stream=yes",
        "https://huggingface.co/datasets/mueller91/MLAAD",
        mlaad_hub.read,
        ("languages", "stream"),
        is_local=False,
    ),
    "mlaad-tiny": Corpus(
        "6,000 human clips of M-AILABS and 64 synthesisers of MLAAD, 100 clips each",
        "ringtrue[hub] and a network, or a local copy given as a folder",
        "https://huggingface.co/datasets/mueller91/MLAAD-tiny",
        mlaad_tiny.fetch,
        is_local=False,
    ),
    "mlaad-tracing": Corpus(
        "the source-tracing protocol on MLAAD 5: 24 known and 43 unknown systems, no bona fide",
        "MLAAD 5 and mlaad4sourcetracing.zip in FOLDER, or ?protocol=FILE; ?fine=CELL for a part",
        "https://deepfake-total.com/sourcetracing",
        mlaad_tracing.read,
        ("protocol", "fine"),
    ),
    "m-ailabs": Corpus(
        "human readers of audio books in eight languages, whose sentences MLAAD speaks",
        "FOLDER/<locale>/by_book/…; ?paired=MLAAD-FOLDER keeps MLAAD's originals only",
        "https://www.caito.de/2019/01/03/the-m-ailabs-speech-dataset/",
        m_ailabs.read,
        ("paired",),
    ),
    "librispeech": Corpus(
        "1,000 hours of human readers, 2,484 speakers",
        "FOLDER/LibriSpeech/train-clean-100 …, or the hub's FOLDER/clean/*.parquet with ringtrue[hub]",
        "https://www.openslr.org/12",
        librispeech.read,
    ),
    "librispeech-hub": Corpus(
        "the same from the hub as Parquet",
        "ringtrue[hub] and a network; ?subsets=train-clean-100,dev-clean,test-clean (7 GB), or ?stream=yes",
        "https://huggingface.co/datasets/openslr/librispeech_asr",
        librispeech.fetch,
        ("subsets", "stream"),
        is_local=False,
    ),
    "asvspoof2019-la": Corpus(
        "121,461 trials, attacks A01-A06 to train on and A07-A19 to be tested by",
        "FOLDER/ASVspoof2019_LA_cm_protocols and FOLDER/ASVspoof2019_LA_*/flac",
        "https://datashare.ed.ac.uk/handle/10283/3336",
        asvspoof2019.read,
    ),
    "asvspoof2021-la": Corpus(
        "181,566 trials of 2019's attacks over seven telephone codecs; tests only",
        "FOLDER/keys/LA/CM/trial_metadata.txt and FOLDER/ASVspoof2021_LA_eval/flac",
        "https://www.asvspoof.org/index2021.html",
        asvspoof2021.read_la,
    ),
    "asvspoof2021-df": Corpus(
        "611,829 trials of over 100 attacks through lossy compression; tests only",
        "FOLDER/keys/DF/CM/trial_metadata.txt and FOLDER/ASVspoof2021_DF_eval/flac",
        "https://www.asvspoof.org/index2021.html",
        asvspoof2021.read_df,
    ),
    "asvspoof5": Corpus(
        "1,004,081 trials, 32 attacks, crowd-sourced speakers, eleven codecs",
        "FOLDER/ASVspoof5.*.tsv (10 columns, or the challenge's 6) and FOLDER/flac_{T,D,E_eval}",
        "https://zenodo.org/records/14498691",
        asvspoof5.read,
    ),
    "in-the-wild": Corpus(
        "31,779 clips of 58 public figures and their deepfakes; tests only",
        "FOLDER/meta.csv and FOLDER/*.wav",
        "https://deepfake-total.com/in_the_wild",
        in_the_wild.read,
    ),
    "wavefake": Corpus(
        "LJSpeech and JSUT through seven vocoders",
        "FOLDER/generated_audio/<system>/*.wav; ?ljspeech=FOLDER for the human half",
        "https://zenodo.org/records/5642694",
        wavefake.read,
        ("ljspeech",),
    ),
    "fake-or-real": Corpus(
        "human and synthesised speech, systems unnamed",
        "FOLDER/{training,validation,testing}/{real,fake}/*.wav, such as for-norm",
        "https://bil.eecs.yorku.ca/datasets/",
        fake_or_real.read,
    ),
    "codecfake": Corpus(
        "VCTK and AISHELL-3 through seven neural codecs, and audio language models",
        "FOLDER/label/*.txt, FOLDER/train, FOLDER/dev, FOLDER/test/C1 …",
        "https://zenodo.org/records/13838106",
        codecfake.read,
    ),
    "dfadd": Corpus(
        "VCTK speakers by five diffusion and flow-matching synthesisers",
        "FOLDER/DATASET_<system>/{train,valid,test} and FOLDER/DATASET_VCTK_BONAFIDE",
        "https://huggingface.co/datasets/isjwdu/DFADD",
        dfadd.read,
    ),
    "arena": Corpus(
        "any test set of the anti-spoofing arena, such as InTheWild, DECRO or CD-ADD",
        "FOLDER of Parquet files with ringtrue[hub], or ?set=InTheWild to fetch one",
        "https://huggingface.co/SpeechAntiSpoofingBenchmarks",
        arena.read,
        ("set",),
        is_local=False,
    ),
    "table": Corpus(
        "any CSV, TSV or Parquet table of recordings and labels, or a folder of Parquet and tar shards",
        "a file or folder; ?bonafide=0 where labels are numbers, ?label=spoof or ?split=test where there are none",
        "you",
        table.read,
        ("bonafide", "label", "split"),
    ),
    "folder": Corpus(
        "any folder with bonafide/<speaker>/ and spoof/<system>/ (or real/ and fake/)",
        "recordings",
        "you",
        folder.read,
    ),
}
