# Each word is one line over tools/run.py, which works without make too (on Windows for example).
PYTHON ?= python3

.PHONY: demo docs test check interop night
demo docs test check interop night:
	@$(PYTHON) tools/run.py $@ $(ARGS)
