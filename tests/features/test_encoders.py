"""Where weights come from, and what encoders make of sound and words whatever stands beside them."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import pytest
import torch

from emolab.features import encoders
from tests.checkpoints import LISTENERS, READERS, WORDS, save_checkpoint, tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # inside WavLM
PUBLISHED = {  # name: what its config.json says beside the defaults of its class, how many numbers
    "facebook/wav2vec2-base": ({"model_type": "wav2vec2"}, 94_371_712),
    "facebook/hubert-base-ls960": ({"model_type": "hubert"}, 94_371_712),
    "microsoft/wavlm-base": ({"model_type": "wavlm"}, 94_381_936),
    "bert-base-cased": ({"model_type": "bert", "vocab_size": 28_996}, 108_310_272),
    "albert-base-v2": (
        {"model_type": "albert", "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        11_683_584,
    ),
    "sentence-transformers/all-MiniLM-L6-v2": (
        {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
        22_713_216,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_encoders_have_the_published_sizes(name: str) -> None:
    config, published = PUBLISHED[name]
    with torch.device("meta"):  # sizes without numbers
        encoder = encoders.build_encoder(config)
    assert sum(weights.numel() for weights in encoder.parameters()) == published


def waves(*seconds: float) -> list[torch.Tensor]:
    return [torch.randn(round(16_000 * s)) for s in seconds]


@pytest.mark.parametrize("kind", LISTENERS)
def test_hear_gives_the_same_alone_and_beside_longer_waves(kind: str) -> None:
    torch.manual_seed(1)
    encoder = encoders.build_encoder(tiny_config(kind)).eval()
    short, long = waves(0.3, 0.5)
    together, lengths = encoders.hear(encoder, [short, long])
    alone, n_alone = encoders.hear(encoder, [short])
    assert lengths.tolist() == [14, 24]  # a frame each 20 ms, the first after 25 ms
    assert len(together) == 1 + encoder.config.num_hidden_layers
    torch.testing.assert_close(encoders.masked_means(together, lengths)[:1], encoders.masked_means(alone, n_alone))


def test_padding_a_wave_changes_what_wav2vec2_hears_which_is_why_hear_does_not() -> None:
    torch.manual_seed(1)
    encoder = encoders.build_encoder(tiny_config("wav2vec2")).eval()
    wave = waves(0.3)[0]
    with torch.no_grad():
        alone = encoder.feature_extractor(wave[None])
        padded = encoder.feature_extractor(torch.cat([wave, torch.zeros(16_000)])[None])[..., : alone.shape[2]]
    assert (alone - padded).abs().mean() > 0.1 * alone.abs().mean()


@pytest.mark.parametrize("kind", LISTENERS)
def test_hear_gives_the_layers_of_the_published_forward_pass(kind: str) -> None:
    torch.manual_seed(1)
    encoder: Any = encoders.build_encoder(tiny_config(kind)).eval()
    wave = waves(0.3)[0]
    with torch.no_grad():
        expected = encoder(wave[None], output_hidden_states=True).hidden_states
    for layer, other in zip(encoders.hear(encoder, [wave])[0], expected, strict=True):
        torch.testing.assert_close(layer, other)


@pytest.mark.parametrize("kind", READERS)
def test_read_ignores_padding_that_looks_like_words(kind: str) -> None:
    torch.manual_seed(1)
    encoder: Any = encoders.build_encoder(tiny_config(kind)).eval()
    pieces = torch.tensor([[2, 5, 7, 3, 9, 9], [2, 6, 7, 8, 9, 3]])
    lengths = torch.tensor([4, 6])
    vectors = encoder.get_input_embeddings()(pieces)
    layers, pooled = encoders.read(encoder, vectors, lengths)
    alone, pooled_alone = encoders.read(encoder, vectors[:1, :4], lengths[:1])
    torch.testing.assert_close(
        encoders.masked_means(layers, lengths)[:1], encoders.masked_means(alone, lengths[:1]), rtol=1e-4, atol=1e-5
    )
    assert pooled is not None
    torch.testing.assert_close(pooled[:1], pooled_alone, rtol=1e-4, atol=1e-5)


def test_masked_means_by_hand() -> None:
    layer = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert encoders.masked_means([layer, 2 * layer], torch.tensor([2])).tolist() == [[[2.0], [4.0]]]


def test_a_checkpoint_is_found_in_a_folder_and_under_the_weights_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    folder = save_checkpoint(tmp_path / "org" / "tiny", "bert")
    assert encoders.checkpoint(str(folder)) == encoders.checkpoint("org/tiny") == folder
    loaded = encoders.load_encoder(folder)
    again = encoders.build_encoder(encoders.read_config(folder))
    again.load_state_dict(loaded.state_dict())
    assert encoders.fingerprint(again) == encoders.fingerprint(loaded)


def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache of the hub, and return the folder in which it would keep org/tiny."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--org--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    return repository / "snapshots" / "abc123"


def test_a_checkpoint_is_found_in_the_cache_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = hub_cache(tmp_path, monkeypatch)
    save_checkpoint(snapshot, "wav2vec2")
    assert encoders.checkpoint("org/tiny").samefile(snapshot)


def test_offline_and_not_there_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, monkeypatch)
    with pytest.raises(OSError, match=r"no weights of 'org/tiny': .*HF_HUB_OFFLINE forbids.*Go online once, put them"):
        encoders.checkpoint("org/tiny")
    with pytest.raises(OSError, match=r"no weights of 'a/b/c': .*it is no folder with .*give another with weights="):
        encoders.checkpoint("a/b/c")


def test_no_network_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, monkeypatch)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def unreachable(*_: object, **__: object) -> NoReturn:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    began = time.perf_counter()
    with pytest.raises(OSError, match=r"the hub did not give them \(\w+: .*Go online once") as caught:
        encoders.checkpoint("org/tiny")
    assert time.perf_counter() - began < 5
    assert "\n" not in str(caught.value)


def test_a_broken_checkpoint_says_so(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", "bert")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"cannot be read as an encoder \(.*expected config.json.*Get it again"):
        encoders.load_encoder(folder)


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.txt"])
def test_a_tokenizer_is_read_from_either_of_its_files(file: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = save_checkpoint(tmp_path, "bert")
    (folder / {"tokenizer.json": "vocab.txt", "vocab.txt": "tokenizer.json"}[file]).unlink()
    tokenizer = Tokenizer.from_str(encoders.load_tokenizer(folder))
    pieces = tokenizer.encode("We went homes!").ids
    assert [WORDS[number] for number in pieces] == ["[CLS]", "we", "went", "home", "##s", "!", "[SEP]"]


def test_blocks_are_found_and_albert_has_none_of_its_own() -> None:
    for kind in (*LISTENERS, "bert"):
        assert len(encoders.blocks(encoders.build_encoder(tiny_config(kind)))) == 3
    with pytest.raises(ValueError, match=r"AlbertModel has no blocks.*expected encoder.layer.*Train all of it"):
        encoders.blocks(encoders.build_encoder(tiny_config("albert")))


def test_loading_writes_nothing_and_leaves_the_random_state(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = save_checkpoint(tmp_path, "wav2vec2")
    capfd.readouterr()
    before = torch.random.get_rng_state()
    encoders.load_encoder(folder)
    assert torch.equal(before, torch.random.get_rng_state())
    assert "".join(capfd.readouterr()) == ""
