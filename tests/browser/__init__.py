"""The app in a real browser: Chromium, driven by Playwright, against real processes.

Run by ``tools/run.py browser``. Nothing is mocked: each device is a process with its own database.
"""
