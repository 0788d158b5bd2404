"""Gene symbols: what each name becomes, and that no two genes ever share one."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.data import hgnc
from genept.data.genes import Harmonised, Table, harmonise, unversioned
from tests import helpers

GENES = hgnc.read(helpers.HGNC)
TABLE = Table(GENES)
BY_SYMBOL = {gene.symbol: gene for gene in GENES}


def run(names: list[str], totals: Sequence[float] | None = None, ensembl_ids: list[str] | None = None) -> Harmonised:
    return harmonise(names, totals or [1.0] * len(names), TABLE, ensembl_ids)


@pytest.mark.parametrize(
    ("name", "symbol", "how"),
    [
        ("TP53", "TP53", "approved"),
        ("IL8", "CXCL8", "previous"),
        ("MARCH1", "MARCHF1", "previous"),
        ("SELK", "SELENOK", "alias"),
        ("MRP", "ABCC1", "previous"),  # also an alias of WLS: previous symbols come first
        ("AK3", "AK3", "approved"),  # also a previous symbol of AK4: approved symbols come first
        ("ACAT1", "ACAT1", "approved"),  # also an alias of SOAT1
        ("AMY1", "AMY1", "ambiguous"),  # once the name of AMY1A, AMY1B and AMY1C
        ("ARG", "ARG", "ambiguous"),  # an alias of ABL2 and of RERE
        ("A2MR", "A2MR", "unknown"),  # withdrawn
        ("RP11-685N3.1", "RP11-685N3.1", "unknown"),
        ("ENSG00000141510", "TP53", "ensembl"),
        ("ENSG00000141510.18", "TP53", "ensembl"),
        ("ENSG00000002586.20_PAR_Y", "CD99", "ensembl"),
        ("ENSG00000999999.1", "ENSG00000999999", "unknown"),
        ("ENST00000269305.9", "ENST00000269305.9", "unknown"),  # a transcript
        ("ENSG0000014151.1", "ENSG0000014151.1", "unknown"),  # a digit short
        (" TP53 ", "TP53", "approved"),
        ("HLA.DRA", "HLA-DRA", "approved"),  # R's dots
        ("MT.ND1", "MT-ND1", "approved"),
        ("52", "52", "unknown"),  # a row number, though an alias of ACP1
    ],
)
def test_a_name_becomes_its_approved_symbol_or_stays(name: str, symbol: str, how: str) -> None:
    result = run([name, "GAPDH"])
    assert (result.original[0], result.symbols[0], result.how[0]) == (name.strip(), symbol, how)
    assert result.ensembl_ids[0] == (BY_SYMBOL[symbol].ensembl_id if symbol in BY_SYMBOL else unversioned(name))
    assert result.keep.tolist() == [0, 1]


@pytest.mark.parametrize(
    "name",
    [
        "TP53_ENSG00000141510",
        "ENSG00000141510.18_TP53",
        "TP53|ENSG00000141510",
        "old (ENSG00000141510.2)",
        "x.ENSG00000141510",
    ],
)
def test_of_a_name_with_an_ensembl_id_both_parts_are_used(name: str) -> None:
    result = run([name, "clone-7_ENSG00000999999", "GAPDH"])
    assert result.symbols == ["TP53", "clone-7", "GAPDH"] and result.how == ["ensembl", "unknown", "approved"]
    assert result.ensembl_ids[:2] == ["ENSG00000141510", "ENSG00000999999"]


@pytest.mark.parametrize(
    ("names", "least", "text"),
    [
        (["225", "52", *map(str, range(500))], 0.0, "none of the 502 gene names"),
        (
            ["TP53", *map(str, range(99))],
            0.1,
            "only 1 of the 100 gene names are known to HGNC (not '0', '1', '2'), below",
        ),
        (["TP53", *(f"clone-{i}" for i in range(10))], 0.1, "below the share of 0.1 that label.least_known_genes"),
        (["TP53", "1" * 10_000, "x\x1b[31m"], 0.5, "\\x1b[31m"),
    ],
)
def test_row_numbers_and_other_names_that_hgnc_hardly_knows_are_refused(
    names: list[str], least: float, text: str
) -> None:
    with pytest.raises(InputError) as caught:
        harmonise(names, [1.0] * len(names), TABLE, least_known=least)
    assert text in caught.value.message and len(caught.value.message) < 700


def test_many_clone_names_pass_with_a_note_and_so_do_excel_s_dates() -> None:
    clones = run([*("TP53", "GAPDH", "ACTB"), *(f"AC{i:06}.1" for i in range(20))])
    assert "3 of 23 names are known to HGNC" in clones.notes[0] and len(clones.notes) == 1
    days = ["1-Mar", "2-Sep", "Mar-01", "44256"]
    dates = run([*days, *(gene.symbol for gene in GENES[:90])])
    assert dates.notes == ("genes: 4 names look like dates, as Excel makes them of MARCH1 or SEPT2 (1-Mar, 2-Sep, "
    "Mar-01, 44256); take the names from the original table",)  # fmt: skip
    assert not run([gene.symbol for gene in GENES]).notes


def test_an_approved_symbol_wins_over_an_old_one_and_nothing_is_merged() -> None:
    result = run(["IL8", "CXCL8", "AREGB", "AREG"], totals=[100, 1, 100, 1])
    assert result.symbols == ["IL8", "CXCL8", "AREGB", "AREG"] and not result.dropped
    assert result.how == ["collision", "approved"] * 2
    assert result.ensembl_ids[0] == "", "two columns with one Ensembl id would be one gene twice"


def test_a_previous_symbol_wins_over_an_alias_then_the_larger_total_then_the_first() -> None:
    gene = hgnc.Gene("NEW1", "new", ("ALI1", "ALI2"), ("OLD1", "OLD2"), "ENSG00000000001", "gene with protein product")
    table = Table([gene])
    assert harmonise(["ALI1", "OLD1"], [9, 1], table).symbols == ["ALI1", "NEW1"]
    assert harmonise(["OLD1", "OLD2"], [1, 9], table).symbols == ["OLD1", "NEW1"]
    assert harmonise(["OLD1", "OLD2"], [9, 9], table).symbols == ["NEW1", "OLD2"]
    assert harmonise(["ALI2", "ALI1"], [1, 2], table).symbols == ["ALI2", "NEW1"]


@pytest.mark.parametrize("name", ["TP53", "IL8", "AMY1", "A2MR"])
def test_of_columns_with_one_name_the_one_with_the_larger_total_is_kept(name: str) -> None:
    larger = run([name, name, "GAPDH"], totals=[1, 2, 3])
    assert larger.keep.tolist() == [1, 2] and larger.dropped == [name]
    assert run([name, "GAPDH", name], totals=[2, 3, 2]).keep.tolist() == [0, 1]


def test_two_versions_of_one_ensembl_id_are_one_gene() -> None:
    result = run(["ENSG00000002586.20", "ENSG00000002586.20_PAR_Y", "TP53"], totals=[5, 1, 1])
    assert result.symbols == ["CD99", "TP53"] and result.dropped == ["ENSG00000002586.20_PAR_Y"]


def test_ensembl_ids_beside_symbols_decide() -> None:
    tp53, gapdh = BY_SYMBOL["TP53"].ensembl_id, BY_SYMBOL["GAPDH"].ensembl_id
    result = run(["AMY1", "clone-7", "MATR3"], ensembl_ids=[f"{tp53}.3", gapdh, ""])
    assert result.symbols == ["TP53", "GAPDH", "MATR3"] and result.how == ["ensembl", "ensembl", "approved"]
    contradicting = run(["TP53", "GAPDH"], totals=[9, 1], ensembl_ids=[tp53, tp53])
    assert contradicting.symbols == ["TP53"] and contradicting.dropped == ["GAPDH"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["Actb", "Gapdh", "Cd3e", "Ptprc", "TP53"], "look like mouse genes: 3 of 5 are known only in capitals (such"),
        (["ENSMUSG00000029580", "ENSMUSG00000057666.2", "X"], "not human, but have Ensembl ids such as ENSMUSG0000002"),
        (["0", "1", "2", "3"], "none of the 4 gene names (such as '0', '1', '2') is known to HGNC"),
    ],
)  # fmt: skip
def test_genes_of_another_species_and_names_that_are_no_genes_are_refused(names: list[str], text: str) -> None:
    with pytest.raises(InputError) as caught:
        run(names)
    assert text in caught.value.message and "\n" not in caught.value.message


def test_mixed_case_human_symbols_are_not_taken_for_mouse() -> None:
    names = ["C10orf54", "C9orf89", "C4orf48", "C20orf24", "Nr1"]
    assert run(names).symbols[:2] == ["VSIR", "CARD19"]


def test_lookup_agrees_with_a_plain_reading_of_the_table() -> None:
    """Against the definition, row by row: approved, else the only gene with that previous symbol, else alias."""
    with helpers.HGNC.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]

    def owners(name: str, title: str) -> list[str]:
        return [row["Approved symbol"] for row in rows if name in row[title].split(", ")]

    names = {name for row in rows for title in ("Previous symbols", "Alias symbols") for name in row[title].split(", ")}
    for name in sorted(names - {""}):
        candidates = [name] if name in BY_SYMBOL else owners(name, "Previous symbols") or owners(name, "Alias symbols")
        gene = TABLE.find(name).gene
        assert (gene.symbol if gene else None) == (candidates[0] if len(candidates) == 1 else None), name


# Names that collide in every way: approved symbols with their own old names and aliases, their ids, unknown ones.
OFTEN = [BY_SYMBOL[symbol] for symbol in ("CXCL8", "AREG", "CD99", "AMY1A", "AMY1B", "AK3", "AK4")]
NAMES = sorted(
    {"AC000001.1", "ENSG00000999999.2"}
    | {name for gene in GENES[::9] + OFTEN for name in (gene.symbol, *gene.previous, *gene.aliases)}
    | {f"{gene.ensembl_id}{version}" for gene in GENES[::9] + OFTEN for version in ("", ".5") if gene.ensembl_id}
)
IDS = ["", *[gene.ensembl_id for gene in GENES[::20]]]
COLUMNS = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.sampled_from(IDS)), min_size=1, max_size=30)


@settings(max_examples=200)
@given(COLUMNS, st.booleans())
def test_no_two_columns_share_a_symbol_and_harmonising_again_changes_nothing(
    columns: list[tuple[str, int, str]], with_ids: bool
) -> None:
    names = ["GAPDH", *[name for name, _, _ in columns]]
    totals = [1, *[total for _, total, _ in columns]]
    once = run(names, totals, ["", *[text for _, _, text in columns]] if with_ids else None)
    assert len(set(once.symbols)) == len(once.symbols)
    assert len(once.keep) + len(once.dropped) == len(names)
    assert [names[column] for column in once.keep] == once.original
    known = [how in ("approved", "previous", "alias", "ensembl") for how in once.how]
    assert all(symbol in BY_SYMBOL for symbol, is_known in zip(once.symbols, known, strict=True) if is_known)
    ids = [
        text
        for text, how in zip(once.ensembl_ids, once.how, strict=True)
        if how != "collision" and text not in ("", "ENSG00000999999")
    ]
    assert with_ids or len(set(ids)) == len(ids)

    again = run(once.symbols, [totals[column] for column in once.keep])
    assert again.symbols == once.symbols
    assert not again.dropped


def test_a_column_in_a_collision_keeps_its_ensembl_id_for_models_that_add_columns_of_one_gene() -> None:
    new, other = "ENSG00000145416", "ENSG00000141510"
    result = run(["MARCHF1", "MARCH1", "TP53"], [5, 3, 4], [new, f"{new}.4", other])
    assert (result.symbols[1], result.how[1]) == ("MARCH1", "collision")
    assert result.ensembl_ids == [new, new, other]
