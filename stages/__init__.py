"""The pipeline: fetch -> label -> vectors, pretrain -> embed -> finetune -> evaluate -> figures, report.

Each stage is a folder with a command line of its own, ``python -m stages.<stage> --help``, which only reads, calls and
writes; the functions it calls are beside it. What several stages share is in this folder's own files.
"""
