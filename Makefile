# `make demo` and `make test` each install what they need into .venv by themselves.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
RUN ?= runs/$(if $(PHOTOS),photos,demo)
SERVED = $(if $(PHOTOS)$(filter-out file,$(origin RUN)),$(RUN)/checkpoint,pretrained/region_vae)
# Local paths are made absolute, because Serve's replicas run elsewhere; URIs stay as they are.
at = $(if $(findstring ://,$(1)),$(1),$(abspath $(1)))
empty :=
space := $(empty) $(empty)
comma := ,
# Checkpoints of variations and inversions that ship: folders of these.
VARIATIONS ?= $(wildcard pretrained/zoo/*)
CHILDREN ?= $(if $(filter pretrained/%,$(SERVED)),$(wildcard pretrained/blender))
EDITS ?= $(if $(CHILDREN),$(wildcard pretrained/edits))
INVERSIONS ?= $(wildcard pretrained/inversion/*)
# Pip's own places to look are handed to uv, which does not read them.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_LINK_MODE ?= copy
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: install demo test check format docs recipes chaos bench serve s3 clean

install: $(STAMP)

# Bytecode is compiled once here: Ray starts many processes, and each imports everything anew.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv || true
	$(VENV)/bin/uv pip install --quiet --python $(PY) -r requirements.lock || $(PY) -m pip install --quiet -r requirements.lock
	@echo "compiling bytecode, which takes a minute or two on a quiet machine"
	$(PY) -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	touch $(STAMP)

demo: install
	$(PY) -m jobs.demo $(if $(PRESET),--preset $(PRESET),$(if $(PHOTOS),--preset photos)) --run $(RUN) \
	  $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(WEIGHTS),--weights $(WEIGHTS))

# Two tests at a time; a file is never split (tests/scheduling.py).
test: check
	$(PY) -m pytest -n 2

check: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ty check
	$(VENV)/bin/lint-imports

format: install
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Where code moved and rows are the same: shows it, by outputs of the last commit's code and of today's, and records the code.
# Pages that are made: one a job from --help, and the speed page from the benchmarks' files.
docs: install
	$(PY) -m tests.job_pages
	$(PY) -m benchmarks.speed

recipes: install
	$(PY) -m tests.recipes.record $(RECIPES)

chaos: install
	$(PY) -m pytest -m chaos tests

bench: install
	$(PY) -m benchmarks.curate
	$(PY) -m benchmarks.train_step

# Endpoints and a page over the shipped models, or over a run's (RUN=runs/photos), at HOST and PORT; beyond this machine with TOKENS alone:
#   curl -F photo=@face.jpg -F species=tiger http://127.0.0.1:8000/v1/hybrids -o hybrid.png
# LIKENESS=BANK, built with --vectors region_features, answers searches and affinities by deep features.
# HOST is read from the command line alone: shells set a variable of that name.
PORT ?= 8000
serve: install
	$(PY) -m serve host=$(if $(filter command line,$(origin HOST)),$(HOST),127.0.0.1) port=$(PORT) tokens=$(call at,$(TOKENS)) \
	  checkpoint=$(call at,$(SERVED)) bank=$(call at,$(dir $(SERVED))bank) weights=$(call at,$(WEIGHTS)) \
	  variations=$(subst $(space),$(comma),$(foreach one,$(VARIATIONS),$(notdir $(one))=$(call at,$(one)))) \
	  children=$(call at,$(CHILDREN)) edits=$(call at,$(EDITS)) likeness=$(call at,$(LIKENESS)) \
	  inversions=$(subst $(space),$(comma),$(foreach one,$(INVERSIONS),$(notdir $(one))=$(call at,$(one))))

# A real S3-compatible server on loopback (OpenStack Swift, in an environment of its own); Ctrl-C ends it.
s3: install
	$(PY) -m tests.s3_server --folder runs/s3

clean:
	rm -rf $(VENV) .venv-swift runs build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
