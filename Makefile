# emolab: "make course" runs everything, "make help" lists the rest. Windows: see README.md.
.DEFAULT_GOAL := help
.PHONY: help setup course test lab book lint bench colab results figures tables links lock reliability clean

PYTHON =
NEWEST =
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
VENV ?= .venv$(if $(PYTHON),-$(VERSION))$(if $(NEWEST),-newest)
BIN = $(VENV)/bin
CHAPTERS ?=
JOBS ?= 2
ALL = ".[app,lab,scale,dev]" setuptools
WANTED = $(if $(NEWEST),--upgrade --upgrade-strategy eager $(ALL),--requirement requirements.lock)
VOICES = resemblyzer==0.1.4
JOINS = concat add gated tensor cross-attention transformer
WAYS = late product weighted stacked
PAIRS = cnn-bilstm+bilstm cnn-bilstm+albert wav2vec2+bilstm vggish+bert wav2vec2+resnet-transformer cnn-bilstm+bilstm+cnn
SAMPLE_RECIPES = audio/classical-random-forest audio/logistic-regression audio/random-forest audio/svm audio/discriminant audio/mlp audio/ensemble \
	audio/cnn-bilstm audio/cnn-bilstm-mel audio/cnn-2d audio/lstm audio/wav2vec2-frozen audio/wav2vec2 audio/vggish \
	$(WHISPER) audio/whisper-base-frozen audio/whisper-base fusion/concat/whisper-base+bilstm \
	text/logistic-regression text/random-forest text/svm text/characters text/ensemble text/bilstm text/lstm text/albert-frozen text/bert-frozen text/bert \
	video/logistic-regression video/discriminant video/cnn video/resnet-transformer video/i3d \
	fusion/early/logistic-regression fusion/early/logistic-regression+faces fusion/early/mlp fusion/early/mlp+faces fusion/early/frames \
	fusion/late/logistic-regression fusion/late/mlp+characters \
	$(WAYS:%=fusion/%/ensembles) $(WAYS:%=fusion/%/ensembles+faces) $(WAYS:%=fusion/%/ensemble+characters) $(WAYS:%=fusion/%/ensemble+characters+faces) \
	$(JOINS:%=fusion/%/statistics+words) $(JOINS:%=fusion/%/statistics+words+faces) \
	$(PAIRS:%=fusion/concat/%) $(PAIRS:%=fusion/late/%) fusion/cross-attention/cnn-bilstm+bilstm fusion/gated/cnn-bilstm+bilstm \
	conversation/alone/statistics+words conversation/causal/statistics+words conversation/future/statistics+words
FUSED_RAVDESS = fusion/early/discriminant+action-units $(WAYS:%=fusion/%/ensemble+action-units) $(JOINS:%=fusion/%/statistics+action-units) \
	text/characters fusion/product/ensemble+characters
WHISPER = audio/whisper-base-light audio/whisper-tiny-light
WHISPER_RAVDESS = $(WHISPER) $(WHISPER:%=%@per-speaker) $(addsuffix @per-speaker,audio/svm audio/discriminant audio/logistic-regression) \
	audio/whisper-base-frozen audio/whisper-tiny-frozen audio/whisper+ensemble audio/whisper+ensemble@per-speaker \
	fusion/early/whisper-base+action-units fusion/early/whisper-base+action-units@per-speaker \
	$(WAYS:%=fusion/%/whisper-base+action-units) fusion/product/whisper-base+action-units@per-speaker \
	$(addprefix fusion/,$(addsuffix /whisper-base-frozen+action-units,concat gated tensor))
TALK_MELD = conversation/alone/minilm conversation/causal/minilm conversation/future/minilm
LIGHT_RAVDESS = audio/classical-logistic-regression audio/classical-random-forest audio/logistic-regression \
	audio/random-forest audio/svm audio/discriminant audio/mlp audio/ensemble video/action-units-svm video/action-units-mlp
LIGHT_MELD = text/logistic-regression text/random-forest text/svm text/characters text/lstm text/bilstm
SCORED_TEXT = text/svm text/random-forest text/bilstm text/bert
SCORED_AUDIO = audio/logistic-regression audio/cnn-bilstm audio/wav2vec2
SCORED_VIDEO = video/discriminant video/cnn
FELT = integrated-gradients gradient-x-input saliency attention
SCORED_MODALITY = fusion/product/ensembles+faces fusion/gated/statistics+words+faces

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# VOICES brings the weights by which emolab annotate tells voices apart; what it asks for would need a compiler.
# The copies of lock and pyproject in the environment tell whether it is up to date, whatever the files' times are.
# librosa compiles its functions at their first use, once for an environment (12 s): here, so that no chapter waits.
setup:  ## make or refresh the virtual environment (PYTHON=python3.12: one for it; NEWEST=yes: versions newer than the lock's)
	@if cmp -s requirements.lock $(VENV)/requirements.lock && cmp -s pyproject.toml $(VENV)/pyproject.toml; then exit 0; fi; \
	set -e; \
	if [ ! -x $(BIN)/python ]; then \
	  python=; \
	  for each in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
	    if $$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	      python=$${python:-$$each}; \
	      if $$each -c 'import venv, ensurepip' 2>/dev/null; then python=$$each; ready=yes; break; fi; \
	    fi; \
	  done; \
	  if [ -z "$$python" ]; then echo "emolab needs Python 3.11, 3.12 or 3.13 and found none$(if $(PYTHON), in $(PYTHON)); sudo apt install python3 python3-venv, or get one from python.org" >&2; exit 1; fi; \
	  if [ -z "$$ready" ]; then echo "$$python cannot make virtual environments; sudo apt install python3-venv" >&2; exit 1; fi; \
	  echo "Setting up $(VENV) with $$($$python --version): about a minute, more where the network is slow"; \
	  $$python -m venv $(VENV); \
	fi; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile $(WANTED); \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps $(VOICES) || true; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	$(BIN)/python -m compileall -q -j 0 -x '/tests?/|/transformers/models/' $(VENV)/lib >/dev/null 2>&1 || true; \
	$(BIN)/python -c 'import numpy; from emolab.features.audio import functionals; functionals(numpy.ones(16_000, "f4"))' >/dev/null 2>&1 || true; \
	cp requirements.lock pyproject.toml $(VENV)/

course: setup  ## set up, build the sample, run every chapter into build/, two at a time (CHAPTERS="03 04" JOBS=1)
	@$(BIN)/emolab sample
	@$(BIN)/emolab run $(CHAPTERS) --jobs $(JOBS)

test: setup  ## set up and run all tests, every chapter included (PYTHON=python3.12, NEWEST=yes: as for setup)
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

lab: setup  ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks

book: setup  ## build the book of the executed chapters into build/book/html (DRAFT=yes: as they are)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --requirement docs/book/requirements.txt --constraint requirements.lock
	@$(BIN)/python docs/book/stage.py $(if $(DRAFT),--draft)
	@$(BIN)/sphinx-build -q -W -n --keep-going -c docs/book build/book/source build/book/html
	@$(BIN)/python docs/book/stage.py check
	@echo "Open build/book/html/index.html"

lint: setup  ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: setup  ## measure each budget beside its target (OLD=FOLDER: beside an older build in that work tree)
	@$(BIN)/python $(if $(OLD),bench/compare.py --old $(OLD),bench/bench.py)

colab:  ## install emolab into what Colab has preinstalled (PYTHON=python3.13), and run four chapters there
	@$(or $(PYTHON),python3.13) bench/colab.py

reliability: setup  ## damage files, kill work, fill disks: docs/reliability.md again (an hour on two cores; disks need root)
	@$(BIN)/python bench/reliability.py

results: setup  ## measure the results tables again, RAVDESS and MELD included (long on two cores)
	@$(BIN)/emolab fit $(LIGHT_RAVDESS) --corpus ravdess --preset full --seeds 7 8 9 --record
	@$(BIN)/emolab fit audio/cnn-bilstm audio/cnn-bilstm-mel --corpus ravdess --preset full --seeds 7 --record
	@$(BIN)/emolab fit $(LIGHT_MELD) --corpus meld --preset full --seeds 7 8 9 --record
	@$(BIN)/emolab fit $(FUSED_RAVDESS) --corpus ravdess --preset full --seeds 7 8 9 --record
	@$(BIN)/emolab fit $(WHISPER_RAVDESS) --corpus ravdess --preset full --seeds 7 8 9 --record
	@$(BIN)/emolab fit text/minilm-frozen text/minilm $(TALK_MELD) --corpus meld --preset full --seeds 7 8 9 --record
	@for curve in actors recordings dialogues; do $(BIN)/python bench/curves.py $$curve; done
	@$(BIN)/emolab fit $(SAMPLE_RECIPES) --corpus sample --seeds 7 --record
	@$(BIN)/emolab explain $(SCORED_TEXT) --modality text --utterances 60 --record
	@$(BIN)/emolab explain $(SCORED_AUDIO) --modality audio --utterances 60 --record
	@$(BIN)/emolab explain $(SCORED_VIDEO) --modality video --utterances 60 --record
	@$(BIN)/emolab explain $(SCORED_MODALITY) --modality modality --utterances 60 --record
	@$(BIN)/emolab explain audio/cnn-bilstm --corpus ravdess --preset full --modality audio --record
	@$(BIN)/emolab explain audio/svm audio/discriminant audio/whisper-base-light --corpus ravdess --folds 3 --preset full --modality audio --methods ablation --utterances 24 --record
	@$(BIN)/emolab explain audio/cnn-bilstm-mel --corpus ravdess --folds 3 --preset full --modality audio --methods ablation --utterances 24 --record
	@$(BIN)/emolab explain text/svm --corpus meld --preset full --modality text --methods shap-linear ablation occlusion --utterances 100 --record
	@$(BIN)/emolab explain text/bilstm --corpus meld --preset full --modality text --methods $(FELT) ablation occlusion --utterances 100 --record
	@$(BIN)/emolab explain text/minilm-frozen --corpus meld --preset full --modality text --methods ablation occlusion --utterances 100 --record
	@$(BIN)/emolab explain text/minilm --corpus meld --preset full --modality text --methods integrated-gradients ablation attention --utterances 100 --alone --record
	@$(BIN)/python docs/pages.py refresh

figures: setup  ## draw docs/figures again from the executed chapters
	@$(BIN)/emolab run && $(BIN)/python docs/pages.py figures

tables: setup  ## write the tables of README, docs/results and chapters again from what was measured
	@$(BIN)/python docs/pages.py refresh

links: setup  ## after a change of the repository's address: badges, set-up cells, README
	@$(BIN)/python docs/pages.py refresh

lock: setup  ## choose versions anew: requirements.lock from pyproject.toml, for Python 3.11 to 3.13
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra app --extra lab --extra scale --extra dev --no-annotate --no-header --output-file requirements.lock pyproject.toml
	@sed -i.old -E '/^(nvidia-|cuda-|triton==)/d' requirements.lock && rm requirements.lock.old  # torch brings them where it needs them

clean:  ## delete what can be made again: executed chapters, sample, caches, what killed processes left
	@rm -rf build data/sample data/cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find data notebooks -depth \( -name '.*.part' -o -name '.*.old' -o -name '.sample.lock' \) -exec rm -rf {} +
	@$(BIN)/python -c 'import pathlib, tempfile; from emolab import storage; storage.tidy(pathlib.Path(tempfile.gettempdir()))' 2>/dev/null || true
