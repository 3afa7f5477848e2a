# make demo: train a LoRA on the CPU.  make test: everything without ComfyUI, GPU or browser.  make test-host: in ComfyUI.
# make bench: seconds a training step takes, here and with diffusers and peft; on the GPU where there is one.
# make types: the JSDoc types of web/, by TypeScript.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
TYPESCRIPT := node_modules/.package-lock.json

export COMFYUI_DIR COMFYUI_PYTHON

.PHONY: demo demo-comfyui test test-host bench lint types clean

demo: $(INSTALLED)
	$(RUN) -m trainer_core.demo demo-output

demo-comfyui: $(INSTALLED)
	$(RUN) -m tests.host.demo demo-output/comfyui

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests --ignore tests/host -q -n 2 --dist loadfile --no-loadscope-reorder

test-host: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests/host -q -rs -n 2 --dist loadfile --no-loadscope-reorder

bench: $(INSTALLED)
	$(RUN) -m benchmarks.training_speed

lint: $(INSTALLED)
	$(RUN) -m ruff check .

types: $(TYPESCRIPT)
	npm run --silent types

$(TYPESCRIPT): package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# torch is pinned for development only: a newer one would bring several GB of CUDA. The pack itself lists no torch.
$(INSTALLED): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) node_modules demo-output .pytest_cache .ruff_cache
