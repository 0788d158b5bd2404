"""Files out of wheels, from a package index on this machine."""
