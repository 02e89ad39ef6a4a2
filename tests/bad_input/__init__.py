"""One test for each row of docs/bad-input.md."""
