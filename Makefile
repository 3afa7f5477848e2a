# make demo: train a LoRA on the CPU.  make test: everything without ComfyUI, GPU or browser.  make test-host: in ComfyUI.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/installed

export COMFYUI_DIR COMFYUI_PYTHON

.PHONY: demo demo-comfyui test test-host lint clean

demo: $(INSTALLED)
	$(RUN) -m trainer_core.demo demo-output

demo-comfyui: $(INSTALLED)
	$(RUN) -m tests.host.demo demo-output/comfyui

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests --ignore tests/host -q -n 2 --dist loadfile

test-host: $(INSTALLED)
	$(RUN) -m pytest tests/host -q -rs

lint: $(INSTALLED)
	$(RUN) -m ruff check .

# torch is pinned for development only: a newer one would bring several GB of CUDA. The pack itself lists no torch.
$(INSTALLED): requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) demo-output .pytest_cache .ruff_cache
