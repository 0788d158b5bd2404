"""The pipeline end to end, as a user drives it with DVC."""
