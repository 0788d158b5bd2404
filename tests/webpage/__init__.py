"""The report page in a real headless Chromium."""
