"""One vector per gene: from a text encoder, from a file that somebody released, and controls that mean nothing."""
