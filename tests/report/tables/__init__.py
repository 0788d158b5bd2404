"""The report's tables, and how `dvc plots` draws its bar charts."""
