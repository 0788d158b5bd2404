# make repro   run the pipeline and print the main scores
# make show    open the page of the last run
# make recover   go on after a run was killed
# make verify  compare all files and DVC's cache with dvc.lock
# make test    run the tests
# make bench   compare our speed with upstream's, on the cells of the last run
# make scale   measure what stages cost on 2,000 to 50,000 cells; SCALE="--cells 100000" passes options
# make rehearse   the paper's grid on miniatures, all servers played here: 12 minutes
# All make .venv first. PYTHON=python3.12 chooses the interpreter, PIP_ARGS passes options to pip.

SHELL := /bin/bash
VENV := .venv
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name)),$(name))))
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: repro recover show test bench scale rehearse lint setup readme draws trainings verdicts verify verify-scores clean

repro: $(VENV)/runtime.done
	@python -m stages.recover --locks dvc repro
	@python -m stages.report --show

test: $(VENV)/dev.done
	@python -m pytest

bench: $(VENV)/runtime.done
	@python -m bench

# Cost against the number of cells. Its picture: python -m bench.scale --draw
scale: $(VENV)/runtime.done
	@python -m bench.scale $(SCALE)

# Every file of the paper's datasets and models in miniature, every server on this machine: rehearsal/README.md.
rehearse: $(VENV)/dev.done
	@python -m rehearsal

lint: $(VENV)/dev.done
	@ruff check .
	@ruff format --check .
	@mypy

# Hash everything anew, and name what is missing, changed or unknown; REMOTE=shared reads that remote, too.
verify: $(VENV)/runtime.done
	@python -m stages.verify $(if $(REMOTE),--remote $(REMOTE))

# Score everything again, although nothing changed: does every number lie in its committed range?
verify-scores: $(VENV)/runtime.done
	@python -m stages.evaluate --check

# Open the page of the last run in the browser.
show: $(VENV)/runtime.done
	@test -f plots/report.html || { echo "plots/report.html: no such file; make repro writes it" >&2; exit 1; }
	@echo plots/report.html
	@python -m webbrowser "file://$(CURDIR)/plots/report.html" > /dev/null

# After a killed `dvc repro`, `dvc exp run` or stage: python -m stages.recover --help
recover: $(VENV)/runtime.done
	@python -m stages.recover

# Put what the last run found into the README.
readme: $(VENV)/runtime.done
	@python -m docs.refresh

# How often a verdict on a row of the paper is right.
verdicts: $(VENV)/runtime.done
	@python -m bench.verdicts

# How much scGPT's random bins move its scores.
draws: $(VENV)/runtime.done
	@python -m bench.draws

# How much seeds and processors move the models that are trained here: models/trainings.csv, an hour on two cores.
trainings: $(VENV)/runtime.done
	@python -m bench.trainings

setup: $(VENV)/dev.done

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Of a killed pip, packages lack their RECORD, written last: they come again. Of a killed venv, pip itself is missing.
# .dvc/s3.pth has the settings by which S3 servers other than Amazon's take and give files above 50 MB.
# pip would compile to bytecode on one core, the packages' own tests included; compileall takes a third of the time.
$(VENV)/runtime.done: $(VENV)/bin/python requirements.txt requirements-nodeps.txt .dvc/s3.pth
	@for package in $(VENV)/lib/python*/site-packages/*.dist-info; do test -e "$$package/RECORD" || rm -rf "$$package"; done
	@$(PIP) show --quiet pip 2> /dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --no-compile $(PIP_ARGS) -r requirements.txt
	$(PIP) install --quiet --no-compile $(PIP_ARGS) --no-deps -r requirements-nodeps.txt
	@$(VENV)/bin/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true  # some packages hold files that are no Python
	@cp .dvc/s3.pth "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@

$(VENV)/dev.done: $(VENV)/runtime.done requirements-dev.txt requirements-dask.txt
	$(PIP) install --quiet $(PIP_ARGS) -r requirements-dev.txt -r requirements-dask.txt
	@touch $@

clean:
	rm -rf $(VENV)
