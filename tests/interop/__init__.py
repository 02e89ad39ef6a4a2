"""settee against programs that nobody here wrote. `make interop` runs it; see conftest.py."""
