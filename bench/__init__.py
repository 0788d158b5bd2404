"""Speed of the embedding engines against the upstream way, measured in one run: ``python -m bench``."""
