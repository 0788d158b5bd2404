"""The figures: layout, colours and pictures."""
