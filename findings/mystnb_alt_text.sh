#!/usr/bin/env bash
# MyST-NB 1.4.0: does a picture of an executed notebook keep the description that its output carries?
#
# Guess: yes. An output's metadata may hold alt for a type of its data ({"image/png": {"alt": "…"}}), IPython's Image(alt=…)
#   writes exactly that, and JupyterLab and nbconvert show it.
# Seen: the page has the path of the extracted file as alt; width from the same metadata is taken, alt is dropped.
# Matters: pages built from notebooks whose every figure is described are silent to a screen reader, and a check for
#   missing alt attributes passes, since a file name stands there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check myst-nb==1.4.0 sphinx==9.0.4
mkdir "$folder/source"
cat >"$folder/make.py" <<'PY'
import base64, struct, sys, zlib
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


pixel = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\x80"))
png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + pixel + chunk(b"IEND", b"")).decode()
about = {"image/png": {"alt": "A falling loss curve", "width": 120}}
output = new_output("display_data", {"image/png": png, "text/plain": "figure"}, metadata=about)
notebook = new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("plot()", execution_count=1, outputs=[output])])
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
nbformat.write(notebook, sys.argv[1])
PY
"$folder/venv/bin/python" "$folder/make.py" "$folder/source/index.ipynb"
printf 'extensions = ["myst_nb"]\nnb_execution_mode = "off"\n' >"$folder/source/conf.py"
"$folder/venv/bin/sphinx-build" -q "$folder/source" "$folder/html"
image=$(grep -o '<img [^>]*>' "$folder/html/index.html" | grep -v logo | head -1)
echo "$image"
grep -q '120' <<<"$image"
! grep -q 'A falling loss curve' "$folder/html/index.html"
