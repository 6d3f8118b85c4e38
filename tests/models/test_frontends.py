import dataclasses
import struct

import numpy as np
import pytest
import torch
import transformers

from ringtrue.errors import CheckpointError
from ringtrue.models.ctranslate2 import read_whisper_encoder
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL, load_choice, load_frontend
from ringtrue.models.speaker import convert_speaker_encoder
from ringtrue.windows import content_frames


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=128,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=96,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        vocab_size=64,
        max_source_positions=1500,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = transformers.WhisperModel(config).eval()
    folder = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(folder)
    return model, folder


def write_ctranslate2(path, encoder, kind="f4", version=6, specification="WhisperSpec"):
    """Write an encoder as CTranslate2 does, the independent way round: from transformers' names to its own."""
    variables = {}

    def put(name, tensor):
        variables[f"encoder/{name}"] = tensor.detach().numpy()

    for conv in ("conv1", "conv2"):
        put(f"{conv}/weight", getattr(encoder, conv).weight)
        put(f"{conv}/bias", getattr(encoder, conv).bias)
    put("position_encodings/encodings", encoder.embed_positions.weight)
    put("layer_norm/gamma", encoder.layer_norm.weight)
    put("layer_norm/beta", encoder.layer_norm.bias)
    for index, layer in enumerate(encoder.layers):
        at = layer.self_attn
        base = f"layer_{index}/self_attention"
        zeros = torch.zeros_like(at.q_proj.bias)
        put(f"{base}/linear_0/weight", torch.cat([at.q_proj.weight, at.k_proj.weight, at.v_proj.weight]))
        put(f"{base}/linear_0/bias", torch.cat([at.q_proj.bias, zeros, at.v_proj.bias]))
        put(f"{base}/linear_1/weight", at.out_proj.weight)
        put(f"{base}/linear_1/bias", at.out_proj.bias)
        put(f"{base}/layer_norm/gamma", layer.self_attn_layer_norm.weight)
        put(f"{base}/layer_norm/beta", layer.self_attn_layer_norm.bias)
        for ours, theirs in (("linear_0", layer.fc1), ("linear_1", layer.fc2)):
            put(f"layer_{index}/ffn/{ours}/weight", theirs.weight)
            put(f"layer_{index}/ffn/{ours}/bias", theirs.bias)
        put(f"layer_{index}/ffn/layer_norm/gamma", layer.final_layer_norm.weight)
        put(f"layer_{index}/ffn/layer_norm/beta", layer.final_layer_norm.bias)
    variables["decoder/embeddings/weight"] = np.zeros((3, 4), np.float32)  # must be ignored
    if kind == "i1":
        for name in [name for name, value in variables.items() if value.ndim == 2 and "linear" in name]:
            scale = 127 / np.abs(variables[name]).max(axis=1)
            variables[f"{name}_scale"] = scale.astype(np.float32)
            variables[name] = np.round(variables[name] * scale[:, None]).astype(np.int8)
    codes = {"float32": 0, "int8": 1, "float16": 4}

    def text(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    blob = struct.pack("<I", version) + text(specification) + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        value = value.astype(np.float16) if kind == "f2" and value.dtype == np.float32 else value
        blob += text(name) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        blob += struct.pack("<BI", codes[str(value.dtype)], value.nbytes) + value.tobytes()
    path.write_bytes(blob + struct.pack("<I", 0))


@torch.inference_mode()
def test_whisper_is_transformers_whisper(whisper):
    model, folder = whisper
    ours = load_frontend(str(folder))
    mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(1))
    expected = model.encoder(mel, output_hidden_states=True).hidden_states
    for last in range(ours.num_layers + 1):
        layers = ours.encode(mel, last)
        assert len(layers) == last + 1
        assert torch.allclose(layers[last], expected[last], atol=1e-5)


def test_whisper_log_mel_is_transformers_log_mel(whisper):
    ours = load_frontend(str(whisper[1]))
    wave = 0.1 * np.random.default_rng(0).standard_normal(480_000).astype(np.float32)
    expected = transformers.WhisperFeatureExtractor()(
        wave, sampling_rate=16_000, return_tensors="pt"
    ).input_features
    assert torch.allclose(ours.log_mel(torch.from_numpy(wave)[None]), expected, atol=2e-4)


@pytest.mark.parametrize(("kind", "tolerance"), [("f4", 0.0), ("f2", 2e-3), ("i1", 5e-2)])
@torch.inference_mode()
def test_a_faster_whisper_folder_is_the_same_encoder(whisper, tmp_path, kind, tolerance):
    model, folder = whisper
    write_ctranslate2(tmp_path / "model.bin", model.encoder, kind)
    (tmp_path / "config.json").write_text("{}")
    wave = 0.1 * torch.randn(1, 20_000, generator=torch.Generator().manual_seed(1))
    ours, theirs = (load_frontend(str(path))(wave, 2) for path in (tmp_path, folder))
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged"),
        (lambda path: path.write_bytes(b"\x80\x04not a model"), "damaged|accepted"),
        (lambda path: path.write_bytes(b""), "damaged"),
    ],
)
def test_a_damaged_model_bin_is_one_clear_error(whisper, tmp_path, damage, message):
    path = tmp_path / "model.bin"
    write_ctranslate2(path, whisper[0].encoder)
    damage(path)
    with pytest.raises(CheckpointError, match=message):
        read_whisper_encoder(path)


def test_another_ctranslate2_model_is_refused_by_name(whisper, tmp_path):
    write_ctranslate2(tmp_path / "model.bin", whisper[0].encoder, specification="TransformerSpec")
    with pytest.raises(CheckpointError, match="'TransformerSpec'.*accepted: 'WhisperSpec'"):
        load_frontend(str(tmp_path))


def test_a_recording_longer_than_whisper_knows_is_refused(whisper):
    with pytest.raises(CheckpointError, match="cut the recording"):
        load_frontend(str(whisper[1]))(torch.zeros(1, 31 * 16_000), 1)


@torch.inference_mode()
def test_whisper_in_its_whole_window_is_transformers_whisper_of_a_padded_clip(whisper):
    model, folder = whisper
    wave = 0.1 * torch.randn(1, 20_000, generator=torch.Generator().manual_seed(1))
    mel = transformers.WhisperFeatureExtractor()(
        wave[0, 200:].numpy(), sampling_rate=16_000, return_tensors="pt"
    ).input_features
    expected = model.encoder(mel).last_hidden_state[:, : content_frames(20_000)]
    whole = load_frontend(str(folder), whole_window=True)
    assert torch.allclose(whole(wave, 2), expected, atol=2e-3)
    short = load_frontend(str(folder))
    assert not torch.allclose(short(wave, 2), expected, atol=2e-3)
    assert whole.preprocessing != short.preprocessing  # so their cached features are kept apart
    assert whole.weights_sha256 == short.weights_sha256


# XLS-R is wav2vec 2.0 with layer-norm convolutions and normalisation before every block
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


@pytest.mark.parametrize(
    ("kind", "more"), [("wav2vec2", {}), ("wav2vec2", STABLE), ("hubert", {}), ("wavlm", {})], ids=str
)
@torch.inference_mode()
def test_self_supervised_encoders_by_folder(tmp_path, kind, more):
    config = transformers.AutoConfig.for_model(
        kind,
        **more,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(tmp_path)
    ours = load_frontend(str(tmp_path))
    wave = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))
    assert ours.preprocessing == {"normalised": bool(more)}
    heard = (wave - wave.mean(1, keepdim=True)) / wave.std(1, keepdim=True) if more else wave
    output = model(heard, output_hidden_states=True)
    expected = [*output.hidden_states[:3], output.last_hidden_state]  # the last after its normalisation
    assert ours.num_layers == 3
    for layer in range(4):
        assert torch.allclose(ours(wave, layer), expected[layer], atol=1e-4)
    with pytest.raises(CheckpointError, match="it has layers 0 to 3"):
        ours(wave, 4)
    assert not any(parameter.requires_grad for parameter in ours.parameters())


@torch.inference_mode()
def test_w2v_bert_by_folder(tmp_path):
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        conv_depthwise_kernel_size=5, output_hidden_size=32, feature_projection_input_dim=160,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Wav2Vec2BertModel(config).eval().save_pretrained(tmp_path)
    ours = load_frontend(str(tmp_path))
    for samples in (4_000, 16_000, 16_161, 64_000):
        wave = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(1))
        assert ours(wave, 1).shape == (2, content_frames(samples), 32)
    assert torch.allclose(ours(wave, 2)[1:], ours(wave[1:], 2), atol=1e-4)


@pytest.mark.parametrize("samples", [4_000, 4_001, 16_000, 47_999, 48_000, 64_600])
@torch.inference_mode()
def test_all_front_ends_have_the_frames_of_the_evidence(whisper, samples):
    wave = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(1))
    for name in (str(whisper[1]), LOG_MEL):
        assert load_frontend(name)(wave, 0).shape[1] == content_frames(samples)


def test_the_weights_have_a_name(whisper, tmp_path):
    model, folder = whisper
    write_ctranslate2(tmp_path / "model.bin", model.encoder)
    same = {load_frontend(str(path)).weights_sha256 for path in (folder, tmp_path)}
    assert len(same) == 1  # the same weights from two formats
    assert same != {load_frontend(LOG_MEL).weights_sha256}


def test_an_unknown_teacher_says_what_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"faster-whisper folder with model\.bin"):
        load_frontend(str(tmp_path / "nothing"))


def test_weights_that_could_run_code_are_not_read(whisper, tmp_path):
    (tmp_path / "config.json").write_text((whisper[1] / "config.json").read_text())
    torch.save(whisper[0].state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"cannot be loaded.*accepted: a hub name"):
        load_frontend(str(tmp_path))


def test_a_gated_model_says_how_to_get_in(monkeypatch):
    def refuse(*_, **__):
        raise OSError("You are trying to access a gated repo.\nMake sure to have access to it.")

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", refuse)
    with pytest.raises(CheckpointError, match="is gated: accept its terms.*HF_TOKEN"):
        load_frontend("someone/secret")


def test_only_whisper_has_a_window_to_pad_to():
    with pytest.raises(CheckpointError, match="no Whisper model"):
        load_frontend(LOG_MEL, whole_window=True)


def test_a_choice_demands_the_weights_that_it_was_made_with(whisper):
    front_end, choice = load_choice(FrontEndChoice(str(whisper[1]), layer=1))
    assert (choice.dim, choice.layers, choice.utterance_level) == (128, 1, False)
    assert choice.weights_sha256 == front_end.weights_sha256
    with pytest.raises(CheckpointError, match="another model than the one trained with"):
        load_choice(dataclasses.replace(choice, name=LOG_MEL))
    with pytest.raises(CheckpointError, match="layers 0 to 2"):
        load_choice(FrontEndChoice(str(whisper[1]), layer=3))


@torch.inference_mode()
def test_pooled_frames_are_means_of_frames(whisper):
    wave = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))
    front_end, choice = load_choice(FrontEndChoice(str(whisper[1])))
    frames = choice.features(front_end, wave)
    assert frames.shape == (2, 3, 49, 128)
    pooled = dataclasses.replace(choice, pool=4).features(front_end, wave)
    assert pooled.shape == (2, 3, 13, 128)
    assert torch.allclose(pooled[:, :, 3], frames[:, :, 12:16].mean(2), atol=1e-5)
    assert torch.allclose(pooled[:, :, 12], frames[:, :, 48], atol=1e-5)  # the rest is not thinned out


@pytest.fixture
def d_vector(tmp_path):
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 16, 3), torch.nn.Linear(16, 24)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    state |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    torch.save(
        {"step": 1, "model_state": {**state, "similarity_bias": torch.zeros(1)}}, tmp_path / "pretrained.pt"
    )
    return convert_speaker_encoder(tmp_path / "pretrained.pt", tmp_path / "d-vector", "a test")


@torch.inference_mode()
def test_a_speaker_encoder_gives_one_vector_a_clip(d_vector):
    front_end, choice = load_choice(FrontEndChoice(str(d_vector), layer=0, pool=4))
    assert choice.utterance_level
    for samples in (1_000, 16_000, 64_000):
        wave = 0.1 * torch.randn(3, samples, generator=torch.Generator().manual_seed(1))
        voices = choice.features(front_end, wave)
        assert voices.shape == (3, 1, 1, 24)
        assert torch.allclose(voices.norm(dim=3), torch.ones(3, 1, 1), atol=1e-5)
        assert torch.allclose(voices[1:2], choice.features(front_end, wave[1:2]), atol=1e-5)
    assert torch.isfinite(front_end(torch.zeros(1, 8_000), 0)).all()


@torch.inference_mode()
def test_a_speaker_encoder_averages_pieces_of_1_6_s(d_vector):
    front_end = load_frontend(str(d_vector))
    one = 0.1 * torch.randn(1, 160 * 160, generator=torch.Generator().manual_seed(1))
    mel = torch.einsum(
        "fk,bkl->blf",
        front_end.bank,
        torch.stft(one, 400, 160, window=torch.hann_window(400), return_complex=True).abs() ** 2,
    )
    assert mel.shape[1] == 161  # one piece of 160 fits
    _, (states, _) = front_end.lstm(mel[:, :160])
    expected = torch.relu(front_end.linear(states[-1]))
    assert torch.allclose(front_end(one, 0)[:, 0], expected / expected.norm(), atol=1e-5)


def test_a_checkpoint_that_is_no_d_vector_is_refused(tmp_path):
    torch.save({"model_state": {"x": torch.zeros(1)}}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="no d-vector checkpoint"):
        convert_speaker_encoder(tmp_path / "x.pt", tmp_path / "y", "a test")


def test_a_text_model_is_no_teacher(tmp_path):
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16, vocab_size=20
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="'bert' model; accepted: wav2vec2"):
        load_frontend(str(tmp_path))
