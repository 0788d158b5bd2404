"""Small tables of HGNC and NCBI, a model whose vectors come from them, and the command that makes these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from stages.vectors import main
from tests import helpers

TITLES = (
    "HGNC ID|Approved symbol|Approved name|Status|Alias symbols|NCBI Gene ID(supplied by NCBI)|Previous symbols|"
    "Ensembl gene ID|Locus type"
).split("|")
ROWS = [
    "HGNC:1633|CD19|CD19 molecule|Approved|B4, CVID3|930||ENSG00000177455|gene with protein product",
    "HGNC:7|A2M|alpha-2-macroglobulin|Approved|FWP007,S863-7|2||ENSG00000175899.14|gene with protein product",
    "HGNC:6|A1S9T|symbol withdrawn, see UBA1|Symbol Withdrawn|||||unknown",
    "HGNC:37133|A1BG-AS1|A1BG antisense RNA 1|Approved|FLJ23569|503538|NCRNA00181, A1BGAS||RNA, long non-coding",
    "HGNC:5588|IGHV3-23|immunoglobulin heavy variable 3-23|Approved||28442|VH26|ENSG00000211949|immunoglobulin gene",
    "HGNC:9999|LONG1|" + "interminable " * 80 + "|Approved||77777|||gene with protein product",
]
NCBI = """
import pathlib
pathlib.Path("ran").touch()
GENEID2NT = {
  930 : NtData(tax_id=9606, Symbol='CD19', Aliases='B4', other_designations='B-cell "surface" antigen B4|T16', OMIM=1),
  2 : NtData(tax_id=9606, Symbol='A2M', Aliases='', other_designations="5'-end|a\\\\b", OMIM=''),
  503538 : NtData(tax_id=9606, Symbol='A1BG-AS1', Aliases='', other_designations='', OMIM=''),
}
"""
LOCUS_TYPES = ["gene with protein product", "immunoglobulin gene"]
FOLDER = Path("data/encoders/words")
MODEL = Path("models/words")


def run(ok: bool = False, **vectors: Any) -> Result:
    """Make the vectors of the model `words` with these settings."""
    model = {"title": "Words", "engine": "genept_w", "vectors": vectors}
    helpers.write_settings(Path(), {"threads": 1, "device": "cpu"}, models={"words": model})
    result = CliRunner().invoke(main, ["words"])
    if ok:
        assert result.exit_code == 0, result.output
    return result
