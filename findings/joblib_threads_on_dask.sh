#!/usr/bin/env bash
# joblib 1.6.0 and dask.distributed: who runs Parallel(prefer="threads") inside parallel_config(backend="dask")?
#
# Guess: the threads of this process. prefer="threads" is how a function says that it shares memory, for example because
#   it fills a cache of its own or holds an object that must not be copied.
# Seen: the tasks go to the workers of the cluster, in other processes; "threads" is a hint to the default backend alone.
#   What a task writes to an object of the caller is lost, without a word. backend="threading", said outright, stays here.
# Matters: a helper that was safe in a notebook changes its meaning once somebody wraps a call of it in the cluster's
#   context. Here features were computed by threads that fill a table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check joblib==1.6.0 dask==2026.8.0 distributed==2026.8.0
cat >"$folder/try.py" <<'PY'
import os
import joblib
from dask.distributed import Client, LocalCluster


def who(_, found):
    found.append(os.getpid())
    return os.getpid()


if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            preferred, named = [], []
            a = set(joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(who)(n, preferred) for n in range(4)))
            b = set(joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(who)(n, named) for n in range(4)))
    print("prefer=threads ran here:", a == {os.getpid()}, "and wrote", len(preferred), "of 4 entries")
    print("backend=threading ran here:", b == {os.getpid()}, "and wrote", len(named), "of 4 entries")
    assert a.isdisjoint({os.getpid()}) and preferred == [], "prefer=threads stays in this process now"
    assert b == {os.getpid()} and len(named) == 4
PY
"$folder/venv/bin/python" "$folder/try.py"
