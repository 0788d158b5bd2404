"""The state of this repository itself, as DVC and git keep it.

``lock`` reads ``dvc.lock``; ``tracked`` and ``objects`` hash files, DVC's cache and a remote anew and compare them with
it; ``recovery`` mends what killed commands leave; ``leaving`` removes what has left the grid.
"""
