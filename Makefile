# Two commands are all: `make run` serves km on this machine, `make test` runs every test.
# Both install what they need into .venv; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
PIP = $(VENV)/bin/pip --quiet --disable-pip-version-check

.PHONY: run test test-house test-whole lint clean

run: $(VENV)/.run
	@exec $(VENV)/bin/km-quickstart .quickstart

test: $(VENV)/.test
	@$(VENV)/bin/python tests/packages.py
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@$(MAKE) --jobs=2 --output-sync=target --no-print-directory test-house test-whole

# The two halves of the tests take about as long as each other, and most of it is waiting.
test-house:
	$(VENV)/bin/pytest tests/unit tests/contract tests/laws tests/functional/stores \
	    tests/functional/certificates

test-whole:
	$(VENV)/bin/pytest tests/functional --ignore tests/functional/stores \
	    --ignore tests/functional/certificates

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

$(VENV)/.run: setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[local-ca]'
	@touch $@

$(VENV)/.test: setup.cfg tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --editable '.[testing,client,messaging,mysql,pkcs11,kmip,acme,ejbca,local-ca]' --requirement tests/requirements.txt
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .tox build dist *.egg-info
