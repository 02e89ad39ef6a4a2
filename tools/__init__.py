"""What a developer runs on this project: `run` for everything, `docs` for the generated pages."""
