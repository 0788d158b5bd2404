"""Published datasets, read and brought to the one form that every later stage reads.

`genept.datasets.config.fetched` returns the config by which the files in ``data/<dataset>/raw`` are read,
`genept.datasets.inputs.read_raw` reads them (a cells x genes matrix, ``obs`` and ``var``), and
`genept.datasets.label.label` makes the labelled cells.
"""
