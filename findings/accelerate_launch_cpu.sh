#!/usr/bin/env bash
# accelerate 1.15.0 on a machine without a GPU: how many processes does `accelerate launch --cpu --num_processes 2` start?
#
# Guess: two, which find each other by gloo, as `torchrun --nproc-per-node 2` does with the same script.
# Seen: one, and no warning about it: the script runs to its end and says that it is alone. torchrun starts two.
# Matters: whoever measures what a second process gains on a CPU measures one process twice; a bug of the averaging
#   over processes passes a test that was written to find it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check accelerate==1.15.0 torch==2.13.0
cat >"$folder/count.py" <<'PY'
from accelerate import Accelerator

accelerator = Accelerator(cpu=True)
accelerator.print("processes:", accelerator.num_processes)
accelerator.end_training()
PY
cd "$folder"
export OMP_NUM_THREADS=1
launched=$(venv/bin/accelerate launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no count.py)
torchrun=$(venv/bin/torchrun --nproc-per-node 2 --master-port 29517 count.py)
echo "accelerate launch: $launched"
echo "torchrun:          $torchrun"
[ "$launched" = "processes: 1" ]
[ "$torchrun" = "processes: 2" ]
