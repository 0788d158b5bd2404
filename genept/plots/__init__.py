"""The pictures: colours, a page with a legend, UMAP panels, and the evidence of an annotation."""
