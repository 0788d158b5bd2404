"""A stage, a scheduler or a worker of Dask, with few cells in a part: ``worker.py A_PART worker tcp://...``."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    from genept.data import parts
    from genept.engines import sums

    parts.CELLS, sums.PARTS = int(sys.argv[1]), 2
    what, *arguments = sys.argv[2:]
    if what == "embed":
        from genept.engines import cluster
        from stages.embed import main

        cluster.TIMEOUT = int(os.environ.get("TIMEOUT", cluster.TIMEOUT))
        cluster.PATIENCE = int(os.environ.get("PATIENCE", cluster.PATIENCE))
        main(arguments)
    elif what == "scheduler":
        from distributed.cli.dask_scheduler import main as scheduler

        scheduler(["--host", "127.0.0.1", "--port", "0", "--scheduler-file", arguments[0], "--no-dashboard"])
    else:
        from distributed.cli.dask_worker import main as worker

        worker([arguments[0], "--nthreads", "1", "--no-nanny", "--no-dashboard"])
