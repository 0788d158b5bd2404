"""What all networks share: a transformer without padding, batches, precision, weights files, resuming."""
