"""Miniature replicas of the seed's corpora in their real layouts, and a wav2vec 2.0 teacher that knows nothing."""

import numpy as np
import pytest

from ringtrue.files import stable_int


@pytest.fixture(scope="session")
def speak(encode, speechlike):
    """`speak(path, name, machine)` writes half a second of its own; machines hum without formants moving."""

    def speak(path, name, machine):
        seed = stable_int(name) % 1000
        samples = speechlike(0.55 + seed / 5000, seed=seed)
        if machine:
            samples = (0.7 * samples + 0.05 * np.sin(0.3 * np.arange(len(samples)))).astype(np.float32)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(path.suffix.removeprefix("."), samples))

    return speak


@pytest.fixture(scope="session")
def replicas(tmp_path_factory, speak):
    """MLAAD, LibriSpeech and ASVspoof 2019 LA (evaluation only): the folder that has them."""
    root = tmp_path_factory.mktemp("replicas")
    for system in range(9):
        folder, rows = f"fake/en/tts_{system}", []
        for book in range(12):
            name = f"book{book}_00_f000001.wav"
            original = f"en_US/by_book/female/reader_{book}/book{book}/wavs/{name}"
            speak(root / "MLAAD" / folder / name, f"{system} {book}", True)
            rows.append(
                f"./{folder}/{name}|{original}|en|True|0.6|ljspeech|tts_{system}|vits|Sentence {book}."
            )
        header = (
            "path|original_file|language|is_original_language|duration|training_data|model_name|architecture"
        )
        (root / "MLAAD" / folder / "meta.csv").write_text("\n".join([f"{header}|transcript", *rows]) + "\n")
    for subset, readers in (
        ("train-clean-100", range(8)),
        ("dev-clean", range(8, 14)),
        ("test-clean", range(14, 20)),
    ):
        for reader in readers:
            folder = root / "LibriSpeech" / subset / str(reader) / "1"
            names = [f"{reader}-1-{number:04}" for number in range(4)]
            for name in names:
                speak(folder / f"{name}.flac", name, False)
            (folder / f"{reader}-1.trans.txt").write_text("".join(f"{name} SOME WORDS\n" for name in names))
    protocol = []
    for number in range(24):
        name, system = f"LA_E_{number:07}", "-" if number % 2 else f"A{7 + number % 3:02}"
        speak(root / "LA/ASVspoof2019_LA_eval/flac" / f"{name}.flac", name, number % 2 == 0)
        protocol.append(f"LA_{number % 6:04} {name} - {system} {'bonafide' if number % 2 else 'spoof'}\n")
    path = root / "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt"
    path.parent.mkdir(parents=True)
    path.write_text("".join(protocol))
    for name in ("train.trn", "dev.trl"):
        (path.parent / f"ASVspoof2019.LA.cm.{name}.txt").write_text("")
    return root


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    """A folder that transformers saved: the layers of wav2vec 2.0 base, twelve, and next to nothing in them."""
    import torch

    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=12, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("teacher")
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return folder
