"""One vector per gene: from a text encoder that reads the gene's name, and controls that mean nothing."""
