#!/usr/bin/env bash
# shap 0.51.0 with numba 0.68.1: how long does the exact explainer take for one row of three features, 8 coalitions?
#
# Guess: milliseconds; what the library compiles, it compiles once for an environment, as librosa does.
# Seen: the first row of each process takes 11 s on a slow core (up to 37 s on a busy one), the second one a millisecond,
#   and a new process takes the seconds again: the compiled functions are not kept on disk.
# Matters: who explains modalities in a notebook, a test or a worker for each recording pays it every time, and a
#   benchmark that times a single call measures a compiler.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check shap==0.51.0 numba==0.68.1 scikit-learn==1.9.1
cat >"$folder/explain.py" <<'PY'
import time

import numpy as np
import shap

explainer = shap.ExactExplainer(lambda x: x.sum(axis=1), shap.maskers.Independent(np.zeros((1, 3)), max_samples=1))
took = []
for _ in range(2):
    began = time.perf_counter()
    values = explainer(np.ones((1, 3)), silent=True).values
    took.append(time.perf_counter() - began)
np.testing.assert_allclose(values, 1)
print(f"first row {took[0]:.2f} s, second row {took[1]:.4f} s")
assert took[0] > 1 and took[0] > 50 * took[1], took
PY
cd "$folder"
for process in 1 2; do echo "process $process: $(venv/bin/python explain.py)"; done
