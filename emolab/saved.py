"""How a recognizer is saved without code: objects and arrays by skops, torch networks as modules and weights.

Only what `TRUSTED` names is built from such a file. What somebody wrote in a notebook or script is pickled instead.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io

# What may be built without a question: classes, and the few functions that the course's recognizers hold. Each name is
# called with whatever a file says, so none of them may open files, start programs or look up names.
TRUSTED = re.compile(
    r"emolab\.(features|models)\.\w+\.[A-Z]\w*|emolab\.(recognizer|late_fusion|training|augmentation)\.[A-Z]\w*"
    r"|emolab\.features\.text\.words|torch\.nn\.modules\.\w+\.[A-Z]\w*|torch\.nn\.functional\.(relu|gelu)"
    r"|transformers\.models\.\w+\.feature_extraction_\w+\.[A-Z]\w*|numpy\.(clip|dtype)"
    r"|sklearn\.calibration\._[A-Z]\w*|sklearn\.tree\._tree\.Tree|sklearn\.metrics\.pairwise\.laplacian_kernel"
    r"|functools\.partial|pathlib\.(_local\.)?(Posix|Windows)Path"
)


def dumps(recognizer: Any) -> tuple[bytes, list[str]]:
    """Return a fitted recognizer as names and numbers. Or pickled with its code, if it has any; that is named then."""
    try:
        body = _plain(recognizer)
        code = [name for name in skops.io.get_untrusted_types(data=body) if not TRUSTED.fullmatch(name)]
    except (AttributeError, RecursionError, TypeError, ValueError) as error:  # what has no such form, as a lambda
        code = [f"{type(recognizer).__name__} ({error})"]
    if code:
        import cloudpickle

        return cloudpickle.dumps(recognizer), code
    return body, code


def _plain(recognizer: Any) -> bytes:
    made, memo, networks = copy.deepcopy(recognizer), dict[int, Any](), []  # the copy is on the CPU
    for owner, name in _holders(made):
        encoders, weights = {}, {}
        if network := getattr(owner, name):
            named = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
            weights = {path: (own.detach().numpy(), own.requires_grad) for path, own in named}
            large = {path: each for path, each in network.named_modules() if hasattr(each, "base_model_prefix")}
            encoders = {path: each.config.to_dict() for path, each in large.items()}
            memo |= dict.fromkeys(map(id, [*(own for _, own in named), *large.values()]))
        networks.append((encoders, weights))
    return skops.io.dumps([copy.deepcopy(made, memo), networks])  # without weights and encoders: None is in their place


def loads(body: bytes) -> Any:
    """Build what `dumps` returned, if it is no pickle. It holds no code, so that none is run.

    Raises:
        Exception: Of many kinds, if it is damaged or names a class or function that is not `TRUSTED`.
    """
    made, networks = skops.io.loads(body, [*filter(TRUSTED.fullmatch, skops.io.get_untrusted_types(data=body))])
    _check_trees(made)
    for (owner, name), (encoders, weights) in zip(_holders(made), networks, strict=True):
        for path, config in encoders.items():
            from emolab.features.pretrained import build_encoder

            parent, _, leaf = path.rpartition(".")
            holder = getattr(owner, name).get_submodule(parent) if path else owner
            setattr(holder, leaf or name, build_encoder(config).eval())
        for path, (array, trained) in weights.items():
            _put(getattr(owner, name), path, array, trained)
    return made


def _holders(made: Any) -> Iterator[tuple[Any, str]]:
    """Yield each object that may hold a network or a frozen encoder, and the name of the attribute."""
    waiting = [made, *made.extractors()]
    for each in waiting:  # grows as it goes
        waiting += getattr(each, "members", ())
        yield from ((each, name) for name in ("network", "_encoder") if name in vars(each))


def _put(network: Any, path: str, array: Any, trained: bool) -> None:
    """Put a parameter or buffer into its place in a network."""
    import torch

    parent, _, leaf = path.rpartition(".")
    module, own = network.get_submodule(parent), torch.from_numpy(array)
    if leaf in module._buffers:
        module._buffers[leaf] = own
    else:
        setattr(module, leaf, torch.nn.Parameter(own, requires_grad=trained))


def _check_trees(found: Any) -> None:
    """Raise ValueError where a tree of scikit-learn points outside itself, which it would follow without looking."""
    if hasattr(found, "children_left"):
        here, left, right = np.arange(found.node_count), found.children_left, found.children_right
        inner = left != -1
        wrong = (np.minimum(left, right) <= here) | (np.maximum(left, right) >= len(here))
        wrong |= (found.feature < 0) | (found.feature >= found.n_features)
        if (wrong & inner).any():
            raise ValueError("a tree has branches or features that are not there")
        return
    inside = found.values() if isinstance(found, dict) else getattr(found, "__dict__", {}).values()
    listed = isinstance(found, list | tuple) or getattr(found, "dtype", None) == object
    for each in found if listed else inside:
        _check_trees(each)
