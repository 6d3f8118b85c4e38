"""The seed's names: its example as printed, on miniature corpora, and what goes wrong around it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ringtrue.errors import CheckpointError, ConfigError, CorpusError
from ringtrue.tracing import two_stage
from ringtrue.tracing.settings import Settings, load_settings
from ringtrue.tracing.two_stage import (
    MLAADDataset,
    evaluate_classification_head,
    extract_features_with_mio,
    load_frozen_mio_model,
    train_and_save_mio_model,
    train_classification_head,
)

EXAMPLE = """
# Stage 1: Train MiO on ASVspoof 2019
train_and_save_mio_model()

# Load Frozen MiO Model for Feature Extraction
mio_model = load_frozen_mio_model()

# Prepare Dataloaders for Acoustic and Vocoder Classification
train_loader_acoustic = DataLoader(
    MLAADDataset(train_df, mlaad_root_dir, mio_model, label_type="acoustic"),
    batch_size=16, shuffle=True
)
eval_loader_acoustic = DataLoader(
    MLAADDataset(eval_df, mlaad_root_dir, mio_model, label_type="acoustic"),
    batch_size=16, shuffle=False
)

# Train and Evaluate Acoustic Classifier
train_classification_head(acoustic_classifier, train_loader_acoustic, eval_loader_acoustic)

# Repeat for Vocoder Classification
train_loader_vocoder = DataLoader(
    MLAADDataset(train_df, mlaad_root_dir, mio_model, label_type="vocoder"),
    batch_size=16, shuffle=True
)
eval_loader_vocoder = DataLoader(
    MLAADDataset(eval_df, mlaad_root_dir, mio_model, label_type="vocoder"),
    batch_size=16, shuffle=False
)
train_classification_head(vocoder_classifier, train_loader_vocoder, eval_loader_vocoder)
"""


SEEDS = Path(__file__).parents[3] / "shared" / "seeds"


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the seeds are not here (../shared/seeds)")
def test_the_example_is_the_seed_s_to_the_letter():
    (seed,) = (text for path in SEEDS.glob("*.txt") if "MLAADDataset" in (text := path.read_text("utf-8")))
    (printed,) = re.findall(r"^```python\n(.*?)^```", seed, re.DOTALL | re.MULTILINE)
    assert EXAMPLE.strip() == printed.strip()


class Frame:
    """What the example needs of a pandas data frame."""

    def __init__(self, rows):
        self.rows = rows

    def to_dict(self, orient):
        assert orient == "records"
        return self.rows


def test_the_seed_s_example_runs_as_printed(seed_world):
    root, rows = seed_world
    names = {name: getattr(two_stage, name) for name in dir(two_stage) if not name.startswith("_")}
    names |= {
        "DataLoader": DataLoader,
        "train_df": Frame(rows["train"]),
        "eval_df": Frame(rows["eval"]),
        "mlaad_root_dir": root / "data/MLAAD",
        "acoustic_classifier": torch.nn.Linear(128, 3),
        "vocoder_classifier": torch.nn.Linear(128, 3),
    }
    exec(EXAMPLE, names)
    assert (root / "mio.safetensors").is_file()
    report = evaluate_classification_head(
        names["acoustic_classifier"],
        names["eval_loader_acoustic"],
        names["train_loader_acoustic"].dataset.classes,
    )
    assert report.classes[:-1] == ("bark", "glow-tts", "tacotron2")
    assert report.clips == 6 == report.confusion.sum()
    assert set(report.intervals) == {"accuracy", "precision", "recall", "f1"}
    assert report.accuracy == np.trace(report.confusion) / 6
    assert "F1" in str(report)
    assert names["train_loader_vocoder"].dataset.classes == ("encodec", "hifigan", "multiband_melgan")


def test_stage_1_is_trained_once(seed_world):
    path = train_and_save_mio_model()
    before = path.read_bytes(), path.stat().st_mtime_ns
    train_and_save_mio_model()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    (seed_world[0] / "two_stage.yaml").write_text("front_ends: [{name: log-mel}]\nfusion: concat\n")
    with pytest.raises(CheckpointError, match="trained with other settings"):
        train_and_save_mio_model()


def test_the_model_is_frozen_and_its_embeddings_do_not_move(seed_world):
    root, rows = seed_world
    train_and_save_mio_model()
    model = load_frozen_mio_model()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    paths = [root / "data/MLAAD" / row["file_path"] for row in rows["eval"]]
    embeddings = extract_features_with_mio(model, paths)
    assert embeddings.shape == (6, 128)
    data = MLAADDataset(rows["train"], root / "data/MLAAD", model, "system")
    train_classification_head(data.classifier(), DataLoader(data, batch_size=4), DataLoader(data), epochs=2)
    assert torch.equal(extract_features_with_mio(model, paths), embeddings)


def test_a_head_learns_what_the_embeddings_hold(seed_world):
    root, rows = seed_world
    train_and_save_mio_model()
    data = MLAADDataset(rows["train"], root / "data/MLAAD", load_frozen_mio_model(), "system")
    report = train_classification_head(data.classifier(), DataLoader(data, batch_size=4), DataLoader(data))
    assert report.accuracy == 1.0  # on its own training clips, which sound different


def test_classes_are_matched_by_name_and_the_untrained_are_left_out(seed_world):
    root, rows = seed_world
    train_and_save_mio_model()
    model, folder = load_frozen_mio_model(), root / "data/MLAAD"
    known = [row for row in rows["train"] if row["model"] != "tts_models/en/ljspeech/glow-tts"]
    train, judged = MLAADDataset(known, folder, model), MLAADDataset(rows["eval"], folder, model)
    report = train_classification_head(
        train.classifier(), DataLoader(train, batch_size=4), DataLoader(judged)
    )
    assert report.untrained == ("glow-tts",)
    assert report.clips == 4
    with pytest.raises(CorpusError, match=r"NOT IN TRAIN: none of 6 .* training knew nothing-like-it"):
        evaluate_classification_head(train.classifier(), DataLoader(judged), ["nothing-like-it"])
    with pytest.raises(CorpusError, match="5 outputs and the training data 2 classes"):
        train_classification_head(torch.nn.Linear(128, 5), DataLoader(train), DataLoader(judged))


def test_what_is_unknown_is_said_and_left_out(seed_world):
    root, rows = seed_world
    train_and_save_mio_model()
    model, told = load_frozen_mio_model(), []
    strange = [{**row, "model": "made-up"} for row in rows["train"][:2]]
    data = MLAADDataset([*rows["train"], *strange], root / "data/MLAAD", model, "vocoder", told.append)
    assert len(data) == 12
    assert any("UNKNOWN LABEL: 2 of 14" in line for line in told)
    with pytest.raises(CorpusError, match="none of 2 clips has a known vocoder"):
        MLAADDataset(strange, root / "data/MLAAD", model, "vocoder")
    with pytest.raises(CorpusError, match="no attribute 'colour'"):
        MLAADDataset(strange, root / "data/MLAAD", model, "colour")
    with pytest.raises(CorpusError, match=r"lacks \['file_path'\]"):
        MLAADDataset([{"model": "x"}], root / "data/MLAAD", model)
    with pytest.raises(CorpusError, match="3 of 3 recordings cannot be read"):
        MLAADDataset(
            [{**row, "file_path": f"no/{number}.wav"} for number, row in enumerate(rows["train"][:3])],
            root / "data/MLAAD",
            model,
        )


def test_settings_are_strict_and_default_to_the_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings() == Settings()
    assert [choice.name for choice in Settings().front_ends] == [
        "openai/whisper-base",
        "facebook/wav2vec2-xls-r-1b",
    ]
    for text, said in {
        "fussion: outer": "unknown key 'fussion'; did you mean 'fusion'",
        "epochs: many": "epochs = 'many'; accepted: int",
        "front_ends: log-mel": "a list of mappings",
        "front_ends: [{layer: 1}]": "every front end has a name",
        "front_ends: [{name: x, leyer: 1}]": "did you mean 'layer'",
        "[1]": "holds list",
        "a: [": "not readable YAML",
    }.items():
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=said):
            load_settings("x.yaml")
    with pytest.raises(ConfigError, match="no settings at nowhere.yaml"):
        load_settings("nowhere.yaml")
