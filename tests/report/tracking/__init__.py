"""The paper's numbers against ours."""
