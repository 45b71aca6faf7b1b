"""How a recognizer is saved without code: objects and arrays by skops, torch networks as modules and weights.

Only what saved.toml names is built from such a file. What somebody wrote in a notebook or script is pickled instead.
"""

import copy
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import skops.io

from emolab.storage import toml_beside

TRUSTED = re.compile("|".join(toml_beside(__file__, "saved.toml")["trusted"]))


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
        large, weights, flags = {}, {}, {}
        if network := getattr(owner, name):
            large = {path: each for path, each in network.named_modules() if hasattr(each, "base_model_prefix")}
            weights = dict(network.named_parameters(remove_duplicate=False))
            flags = {path: own.requires_grad for path, own in weights.items()}  # buffers have none
            weights |= network.named_buffers(remove_duplicate=False)
        memo |= dict.fromkeys(map(id, [*large.values(), *weights.values()]))
        encoders = {path: each.config.to_dict() for path, each in large.items()}
        networks.append((encoders, {path: own.detach().numpy() for path, own in weights.items()}, flags))
    return skops.io.dumps([copy.deepcopy(made, memo), networks])  # without weights and encoders: None is in their place


def loads(body: bytes) -> Any:
    """Build what `dumps` returned, if it is no pickle. It holds no code, so that none is run.

    Raises:
        Exception: Of many kinds, if it is damaged or names a class or function that is not `TRUSTED`.
    """
    made, networks = skops.io.loads(body, [*filter(TRUSTED.fullmatch, skops.io.get_untrusted_types(data=body))])
    _check_trees(made)
    for (owner, name), (encoders, weights, flags) in zip(_holders(made), networks, strict=True):
        for path, config in encoders.items():
            from emolab.features.pretrained import build_encoder

            _put(owner, f"{name}.{path}".rstrip("."), build_encoder(config).eval())
        for path, array in weights.items():
            from torch import from_numpy, nn

            own = nn.Parameter(from_numpy(array), flags[path]) if path in flags else from_numpy(array)
            _put(owner, f"{name}.{path}", own)
    return made


def _put(owner: Any, path: str, own: Any) -> None:
    """Put an encoder, parameter or buffer where it belongs."""
    *parents, leaf = path.split(".")
    if "__" in path:  # such as __class__
        raise ValueError(f"{path} is no place for weights")
    setattr(reduce(getattr, parents, owner), leaf, own)


def _holders(made: Any) -> Iterator[tuple[Any, str]]:
    """Yield each object that may hold a network or a frozen encoder, and the name of the attribute."""
    waiting = [made, *made.extractors()]
    for each in waiting:  # grows as it goes
        waiting += getattr(each, "members", ())
        yield from ((each, name) for name in ("network", "_encoder") if name in vars(each))


def _check_trees(found: Any) -> None:
    """Raise ValueError where a tree of scikit-learn points outside itself, which it would follow without looking."""
    if hasattr(found, "children_left"):
        inner, branches = found.children_left != -1, np.stack([found.children_left, found.children_right])
        inside = (branches > np.arange(found.node_count)) & (branches < found.node_count)
        inside &= (found.feature >= 0) & (found.feature < found.n_features)
        if not inside[:, inner].all():
            raise ValueError("a tree has branches or features that are not there")
    elif isinstance(found, list | tuple | dict) or (isinstance(found, np.ndarray) and found.dtype.hasobject):
        for each in found.values() if isinstance(found, dict) else found:
            _check_trees(each)
    elif hasattr(found, "__dict__"):
        _check_trees(vars(found))
