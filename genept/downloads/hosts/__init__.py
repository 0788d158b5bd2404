"""One file for each kind of place that files come from; ``genept.downloads.config`` lists them."""
