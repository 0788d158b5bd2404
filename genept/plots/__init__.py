"""UMAP coordinates of the embeddings and the pictures of them."""
