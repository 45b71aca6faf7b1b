#!/usr/bin/env bash
# skops 0.16.0 with scikit-learn 1.9.1: what does `import skops.io` load?
#
# Guess: skops, and of scikit-learn what the saved objects need, when they are loaded.
# Seen: nearly all of scikit-learn at once, every estimator's module included, since the list of trusted types is made by
#   a search through the library: 243 modules more here, and 0.6 s of processor time in each process.
# Matters: a command line, a web worker or a notebook that only checks whether a saved model is there starts that much
#   later, and its memory grows; import it where a model is really saved or loaded.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check skops==0.16.0 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PY'
import sys
import time

import sklearn.linear_model


def loaded():
    return {name for name in sys.modules if name.startswith("sklearn.")}


before, began = loaded(), time.process_time()
import skops.io

more = loaded() - before
print(f"{len(before)} modules of scikit-learn before, {len(more)} more after, {time.process_time() - began:.1f} s")
assert len(more) > 200
assert {"sklearn.gaussian_process", "sklearn.manifold._t_sne"} <= more
PY
