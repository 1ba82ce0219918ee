# Everything is done by bootstrap.py; these are shorter to type. On Windows: py bootstrap.py demo
PYTHON ?= python3

.PHONY: demo test check
demo test check:
	$(PYTHON) bootstrap.py $@
