"""One vector per gene, for GenePT-w: from a text that an encoder reads, or from a file that somebody released."""
