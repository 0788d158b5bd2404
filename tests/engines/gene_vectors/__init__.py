"""Gene vectors: from texts, released ones, and controls."""
