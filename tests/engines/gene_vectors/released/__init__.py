"""Released gene vectors: from a pickle in GenePT's format to a model's folder."""
