"""Downloads: the files that the pipeline starts from (datasets, gene tables, models).

``config`` reads what the settings say of a source, ``fetch`` puts its files into a folder, ``store`` keeps every file
by its sha256 so that none is downloaded twice and records that of first downloads, ``own_files`` links the user's own
files, ``transfer`` is HTTP with resume, ``archive`` takes members out of tar and zip files, and ``hosts/`` has one file
for each kind of source.
"""
