"""The paper's tables for the pairs of dataset and model that the grid names."""
