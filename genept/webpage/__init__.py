"""``plots/report.html``: one file that answers what a run found, with a view for each question."""
