"""The report: tables of our scores, and the paper's numbers against them."""
