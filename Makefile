# Each word is one line over tools/run.py, which works without make too (on Windows for example).
PYTHON ?= python3

.PHONY: demo demo-terminal docs test check browser interop night
demo demo-terminal docs test check browser interop night:
	@$(PYTHON) tools/run.py $@ $(ARGS)
