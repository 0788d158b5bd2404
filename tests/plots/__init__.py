"""The pictures: layout, colours, and what is drawn."""
