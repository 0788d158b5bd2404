"""The datasets in miniature: for every file of their sources what it has the form of.

Columns and values are those that readers of the real files name (data/README.md); labels are the paper's where they are
known. The cells are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import pandas as pd
import scipy.sparse as sp

from rehearsal import formats
from rehearsal.simulate import Panel, barcodes, counts, lognorm

AORTA = ("SMC1", "SMC2", "Fibroblast", "EC", "MonoMaphDC", "Tcell", "Bcell", "Plasma", "NK", "Mastcell", "MSC")
AORTA_SAMPLES = ("Con4", "Con6", "Con9", *(f"TAA{i}" for i in range(1, 9)))
ARTERY = ("T", "Fib", "EC", "SMC", "Myeloid", "B", "NK", "MSC", "Plasma", "Mast")
BONES = ("HomC", "preFC", "RegC", "RepC", "HTC", "preHTC", "FC")
HEART = ("Cardiomyocyte_I", "Cardiomyocyte_II", "Fibroblast_I", "Activated_fibroblast", "Endothelial_I", "Pericyte_I",
         "Macrophage_I", "Lymphocyte", "VSMC", "Neuronal")  # fmt: skip
MYELOID = ("Macro_C1QC", "Macro_SPP1", "Macro_INHBA", "Macro_LYVE1", "Mono_CD14", "Mono_CD16", "Mast_KIT",
           "cDC1_CLEC9A", "cDC2_CD1C", "cDC3_LAMP3", "pDC_LILRA4")  # fmt: skip
PANCREAS = ("alpha", "beta", "delta", "PP", "epsilon", "acinar", "ductal", "endothelial", "PSC", "macrophage", "mast")
BRAIN = (
    *(f"cortical layer {layer} excitatory neuron" for layer in ("2-3", "4", "5-6")),
    *(f"{marker}-expressing interneuron" for marker in ("PVALB", "SST", "SV2C", "VIP")),
    *(f"oligodendrocyte {letter}" for letter in "AC"),
    "oligodendrocyte precursor cell", "mixed excitatory neuron", "mixed glial cell?", "astrocyte", "microglial cell",
    "endothelial cell", "phagocyte", "pyramidal neuron?", "cortical layer 2-3 excitatory neuron B",
)  # fmt: skip


@dataclass(frozen=True)
class Kit:
    """What the miniatures are made of."""

    genes: Panel
    markers: Mapping[str, Mapping[str, Sequence[str]]]
    seed: int

    def draw(self, types: Sequence[str], patients: Sequence[str], own: str = "", more: int = 0) -> np.ndarray:
        return counts(types, patients, self.genes, self.markers.get(own, {}), self.seed + more)

    @property
    def var(self) -> pd.DataFrame:
        return pd.DataFrame(index=pd.Index(list(self.genes.symbols)))


def dealt(labels: Sequence[str], n: int, seed: int) -> list[str]:
    """Deal labels out to `n` cells, each as often as the others, in a drawn order."""
    return list(np.random.default_rng(seed).permutation(list(islice(cycle(labels), n))))


def aorta(kit: Kit) -> dict[str, bytes]:
    """The GenePT authors' file: dense, ids that are bare barcodes and repeat, some cells 'Unknown'."""
    patients = [*(f"affected_{i}" for i in range(1, 9)), *(f"control_{i}" for i in range(1, 4))]
    types, of = dealt(AORTA, 154, kit.seed), dealt(patients, 154, kit.seed + 1)
    x = kit.draw(types, of)
    ids = [f"{barcode}-1" for barcode in barcodes(150, kit.seed)]
    named = ["Unknown" if i % 50 == 49 else name for i, name in enumerate(types)]
    obs = pd.DataFrame({"celltype": named, "patient": of}, index=[*ids, *ids[:4]])
    return {"raw.h5ad": formats.h5ad(x.astype(np.float64), obs, kit.var)}


def aorta_geo(kit: Kit) -> dict[str, bytes]:
    """A dense table for each sample, and the study's labels, whose barcodes have other endings and a cell too few."""
    files, rows = dict[str, bytes](), []
    for number, sample in enumerate(AORTA_SAMPLES):
        types = dealt(AORTA, 33, kit.seed + number)
        x = kit.draw(types, [sample] * len(types), more=number)
        cells = barcodes(len(types), kit.seed + number)
        files[f"samples/{sample}.txt.gz"] = formats.dense_table(x, kit.genes.symbols, [f"{cell}.1" for cell in cells])
        ours = sample.replace("TAA", "ATAA")
        for cell, kind, row in list(zip(cells, types, x, strict=True))[number % 2 :]:
            totals = f"{row.sum()},{(row > 0).sum()}"
            stim = "Control" if sample.startswith("Con") else "ATAA"
            rows.append(f"{cell}.1_{number + 1},{ours},{totals},{stim},2,2,{kind},{kind},G1")
    head = (
        ",orig.ident,nCount_RNA,nFeature_RNA,stim,integrated_snn_res.0.6,seurat_clusters,celltype,celltype2,cellcycle"
    )
    files["labels.csv"] = ("\n".join([head, *rows]) + "\n").encode()
    return files


def artery(kit: Kit) -> dict[str, bytes]:
    """Six samples in one folder of 10x, told apart by the number at the end of the barcode."""
    xs, cells = [], []
    for number in range(1, 7):
        types = dealt(ARTERY, 60, kit.seed + number)
        xs.append(kit.draw(types, [f"P{(number + 1) // 2}"] * len(types), "artery"))
        cells += [f"{cell}-{number}" for cell in barcodes(len(types), kit.seed + number)]
    files = formats.tenx(np.vstack(xs), kit.genes.symbols, kit.genes.ensembl, cells, version=3)
    return {f"all/{name}.gz": content for name, content in files.items()}


def bones(kit: Kit) -> dict[str, bytes]:
    """A folder of 10x for each sample, as Cell Ranger 2 wrote them."""
    files = dict[str, bytes]()
    for number, sample in enumerate(f"{place}_{donor}" for place in ("oLT", "MT") for donor in (113, 116, 118)):
        types = dealt(BONES, 49, kit.seed + number)
        x = kit.draw(types, [sample[-3:]] * len(types), "bones")
        cells = [f"{cell}-1" for cell in barcodes(len(types), kit.seed + number)]
        for name, content in formats.tenx(x, kit.genes.symbols, kit.genes.ensembl, cells, version=2).items():
            files[f"samples/{sample}/{name}.gz"] = content
    return files


def bones_figshare(kit: Kit) -> dict[str, bytes]:
    """A redistribution in two h5ads of normalised values."""
    files = dict[str, bytes]()
    for part, n in (("reference", 84), ("query", 70)):
        types, donors = dealt(BONES, n, kit.seed + n), dealt(("113", "116", "118"), n, kit.seed + n + 1)
        x = kit.draw(types, donors, "bones")
        obs = pd.DataFrame(
            {
                "orig.ident": donors,
                "nCount_RNA": x.sum(axis=1),
                "tissue": "OLT" if part == "reference" else "MT",
                "donor": donors,
                "seurat_clusters": "0",
                "celltype": types,
            },
            index=[f"{cell}-1_{n}" for cell in barcodes(n, kit.seed + n)],
        )
        files[f"{part}.h5ad"] = formats.h5ad(sp.csr_matrix(lognorm(x)), obs, kit.var)
    return files


def heart_obs(n_cells: int, n_donors: int, seed: int) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return obs of the study's h5ad; every donor has one disease."""
    rng = np.random.default_rng(seed)
    donors = [f"P{1300 + 7 * i}" for i in range(n_donors)]
    disease = dict(zip(donors, cycle(("NF", "HCM", "DCM")), strict=False))
    types, of = dealt(HEART, n_cells, seed), dealt(donors, n_cells, seed + 1)
    obs = pd.DataFrame(
        {
            "biosample_id": [f"LV_{name[1:]}_1" for name in of],
            "donor_id": pd.Categorical(of),
            "disease": pd.Categorical([disease[name] for name in of]),
            "sex": pd.Categorical(["male" if int(name[1:]) % 2 else "female" for name in of]),
            "age": [40.0 + int(name[1:]) % 30 for name in of],
            "lvef": [60.0 if disease[name] == "NF" else 25.0 for name in of],
            "cell_type_leiden0.6": pd.Categorical([name.split("_")[0] for name in types]),
            "SubCluster": pd.Categorical(types),
            "cellbender_entropy": rng.random(n_cells),
        },
        index=[f"{cell}-1-0" for cell in barcodes(n_cells, seed)],
    )
    return obs, types, of


def cardiomyocyte(kit: Kit) -> dict[str, bytes]:
    """The GenePT authors' file of 42 donors."""
    obs, types, of = heart_obs(168, 42, kit.seed)
    x = kit.draw(types, of)
    return {"raw.h5ad": formats.h5ad(sp.csr_matrix(x.astype(np.float32)), obs, kit.var)}


def cardiomyocyte_scp(kit: Kit) -> dict[str, bytes]:
    """The study's own h5ad, with Ensembl ids and the counts before CellBender as a layer."""
    obs, types, of = heart_obs(420, 42, kit.seed)
    x = sp.csr_matrix(kit.draw(types, of).astype(np.float32))
    var = kit.var.assign(gene_ids=list(kit.genes.ensembl), feature_types="Gene Expression", genome="GRCh38")
    umap = np.random.default_rng(kit.seed).normal(size=(420, 2))
    return {"raw.h5ad": formats.h5ad(x, obs, var, layers={"cellranger_raw": x}, obsm={"X_umap": umap})}


def myeloid(kit: Kit) -> dict[str, bytes]:
    """ScGPT's two files: dense, normalised, no columns of var; the query's cancers are not the reference's."""
    files = dict[str, bytes]()
    for part, n, cancers in (
        ("reference", 110, ("UCEC", "PAAD", "THCA", "LYM", "KIDNEY", "cDC")),
        ("query", 132, ("MYE", "OV-FTC", "ESCA")),
    ):
        types, of = dealt(MYELOID, n, kit.seed + n), dealt(cancers, n, kit.seed + n + 1)
        batch = [f"{cancer}_P{i % 2}" for i, cancer in enumerate(of)]
        obs = pd.DataFrame(
            {"cell_type": pd.Categorical(types), "cancer_type": pd.Categorical(of), "batch": pd.Categorical(batch)},
            index=[f"{cell}-{i}" for i, cell in enumerate(barcodes(n, kit.seed))],
        )
        files[f"{part}.h5ad"] = formats.h5ad(lognorm(kit.draw(types, of)), obs, kit.var)
    return files


def pancreas(kit: Kit) -> dict[str, bytes]:
    """TOSICA's two files: the cell type is their only annotation."""
    files = dict[str, bytes]()
    for part, n, studies in (("reference", 110, ("baron", "muraro")), ("query", 121, ("xin", "segerstolpe", "lawlor"))):
        types = dealt(PANCREAS, n, kit.seed + n)
        x = lognorm(kit.draw(types, dealt(studies, n, kit.seed)))
        obs = pd.DataFrame({"Celltype": pd.Categorical(types)}, index=[f"{part}_{i}" for i in range(n)])
        var = kit.var.assign(**{"Gene Symbol": list(kit.genes.symbols)})
        files[f"{part}.h5ad"] = formats.h5ad(sp.csr_matrix(x), obs, var)
    return files


def multiple_sclerosis(kit: Kit) -> dict[str, bytes]:
    """ScGPT's two files: columns of the Expression Atlas, gene names in a column, the index not the same in both."""
    files, ages = dict[str, bytes](), (34, 39, 42, 44, 48, 51, 53, 55, 59, 64, 70, 82)
    for part, n, who in (("reference", 126, "C"), ("query", 180, "MS")):
        people = [f"{who}{i + 1}" for i in range(9 if part == "reference" else 12)]
        age = dict(zip(people, ages, strict=False))
        types, of = dealt(BRAIN, n, kit.seed + n), dealt(people, n, kit.seed + n + 1)
        obs = pd.DataFrame(
            {
                "Sample Characteristic[organism]": "Homo sapiens",
                "Sample Characteristic[individual]": pd.Categorical(of),
                "Sample Characteristic[sex]": "female",
                "Sample Characteristic[age]": [age[name] for name in of],
                "Factor Value[disease]": "normal" if part == "reference" else "multiple sclerosis",
                "Factor Value[sampling site]": "premotor cortex",
                "Factor Value[inferred cell type - authors labels]": types,
                "celltype": pd.Categorical(types),
                "str_batch": "0" if part == "reference" else "1",
            },
            index=[f"{cell}-{i}" for i, cell in enumerate(barcodes(n, kit.seed + n))],
        )
        names = pd.Index(list(kit.genes.symbols if part == "reference" else kit.genes.ensembl))
        var = pd.DataFrame({"gene_name": pd.Categorical(kit.genes.symbols)}, index=names)
        files[f"{part}.h5ad"] = formats.h5ad(sp.csr_matrix(lognorm(kit.draw(types, of))), obs, var)
    return files


MAKERS: dict[str, Callable[[Kit], dict[str, bytes]]] = {
    "aorta": aorta,
    "aorta.fallback": aorta_geo,
    "artery": artery,
    "bones": bones,
    "bones_figshare": bones_figshare,
    "cardiomyocyte": cardiomyocyte,
    "cardiomyocyte.fallback": cardiomyocyte_scp,
    "multiple_sclerosis": multiple_sclerosis,
    "myeloid": myeloid,
    "pancreas": pancreas,
}
