"""One file for each kind of place that files are downloaded from."""
