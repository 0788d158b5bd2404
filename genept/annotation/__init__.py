"""Cell types for data sets whose authors published none, by a stated and reproducible method; see `method`."""
