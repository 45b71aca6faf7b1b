"""Published weights: found, read, and given to a network that they fit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from emolab.storage import weights_root


def load_published(
    network: nn.Module, source: str, *, beside: tuple[str, ...] = (), own: tuple[str, ...] = (), address: str = ""
) -> None:
    """Give a network the weights of a file.

    Args:
        network: Its parts have the names of the published ones.
        source: A state dict as torch or safetensors saves it: a path, or a name that is looked for below
            `weights_root()` and among torch's own downloads.
        beside: Beginnings of names that the file has and the network does not need, such as its old output layer.
        own: Beginnings of names that the network has and the file does not know.
        address: Where the file is published, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no state dict, or one of another network.
    """
    told = f" ({address})" * bool(address)
    path = _find(source, told)
    found = {name: value for name, value in _state_dict(path, told).items() if not name.startswith(beside)}
    shapes = {name: value.shape for name, value in network.state_dict().items() if not name.startswith(own)}
    odd = [name for name in shapes.keys() | found.keys() if name not in found or found[name].shape != shapes.get(name)]
    odd = sorted(name for name in odd if not name.endswith("num_batches_tracked"))  # old files do not count them
    if odd:
        raise ValueError(
            f"{path} does not fit {type(network).__name__}: {len(odd)} tensors are missing, unknown or of another "
            f"shape, first {odd[0]}. Expected the published weights of just this network. Take their file{told}."
        )
    network.load_state_dict(found, strict=False)


def _find(source: str, told: str) -> Path:
    """Return the first place that has the file."""
    places = (Path(source).expanduser(), weights_root() / source, Path(torch.hub.get_dir(), "checkpoints", source))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"no weights {source!r}: neither {places[1]} nor {places[2]} is there. Expected the published state "
            f"dict{told}. Put the file there, or give another with weights=; preset quick needs none."
        )
    return path


def _state_dict(path: Path, told: str) -> dict[str, Tensor]:
    """Read a state dict that torch or safetensors has saved."""
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        return {name.removeprefix("module."): value for name, value in found.items() if isinstance(value, Tensor)}
    except Exception as error:  # pickle, zip, torch and safetensors each have their own
        raise ValueError(
            f"{path} cannot be read as weights ({type(error).__name__}); expected a state dict, saved by torch or "
            f"safetensors. Get the file again{told}."
        ) from error
