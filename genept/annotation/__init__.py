"""Cell types for datasets whose authors published none, by a stated and reproducible method; see `method`."""
