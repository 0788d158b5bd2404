"""Reading the entry of a data set in ``params.yaml``: what may stand there and what is meant where nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genept.core.errors import ParamsError
from genept.data.cells import ANNOTATIONS
from genept.datasets import origin
from genept.datasets.checks import ascending, check_names, mapping, whole
from genept.datasets.entry import LABEL_SOURCES, LEAST_SHARE, PARTS, RAW, Entry, LabelTable, SampleFiles, Subset

if TYPE_CHECKING:
    from genept.datasets.derive import Derivation

KEYS = (
    "title",
    "note",
    "paper",
    "label_source",
    "source",
    "x",
    "layer",
    "repeated_ids",
    "symbol",
    "ensembl",
    "keep_var",
    "samples",
    "labels",
    "parts",
    "reanalysis",
    "obs",
    "derive",
    "expected",
    "said",
    "subset",
    "finetune",
)
CONTENTS = ("counts", "lognorm", "detect")
REPEATED_IDS = ("refuse", "number")
UNLABELLED = ("drop", "keep")


def parse(name: str, content: dict[str, Any]) -> Entry:
    """Check the entry ``datasets.<name>``.

    Raises
    ------
    ParamsError
        If a key is unknown or a value cannot be meant.
    """
    where = f"params.yaml: datasets.{name}"
    check_names(where, content, KEYS)
    obs = content.get("obs")
    if not isinstance(obs, dict) or not obs:
        raise ParamsError(f"{where}: needs `obs:`, the column of each annotation, such as cell_type: celltype")
    check_names(f"{where}.obs", obs, ANNOTATIONS)
    x = content.get("x", "counts")
    if x not in CONTENTS:
        raise ParamsError(f"{where}.x: {x!r} is none of {', '.join(CONTENTS)}")
    repeated_ids = content.get("repeated_ids", REPEATED_IDS[0])
    if repeated_ids not in REPEATED_IDS:
        raise ParamsError(f"{where}.repeated_ids: {repeated_ids!r} is neither of {' and '.join(REPEATED_IDS)}")
    derived = parse_derived(f"{where}.derive", mapping(where, content, "derive"), obs)
    is_reanalysed = bool(mapping(where, content, "reanalysis"))
    annotations = {**obs, **derived, **({"cell_type": ""} if is_reanalysed else {})}
    label_source = content.get("label_source")
    if label_source not in (None, *LABEL_SOURCES):
        raise ParamsError(f"{where}.label_source: {label_source!r} is none of {', '.join(LABEL_SOURCES)}")
    expected = mapping(where, content, "expected")
    check_names(f"{where}.expected", expected, ("n_cells", "n_genes", *PARTS, *annotations))
    for key, value in expected.items():
        whole(f"{where}.expected.{key}", value)
    said = parse_said(f"{where}.said", mapping(where, content, "said"), tuple(annotations))
    finetune = content.get("finetune")
    if finetune is not None and finetune not in annotations:
        raise ParamsError(f"{where}.finetune: {finetune!r} is not an annotation under obs ({', '.join(annotations)})")
    listed = mapping(f"{where}.source", mapping(where, content, "source"), "files")
    samples, labels = parse_samples(where, content, tuple(listed), is_reanalysed)
    files = {name: name for name in listed} if samples else {"": RAW} if RAW in listed else PARTS
    if not set(files.values()) <= set(listed):
        raise ParamsError(f"{where}.source.files: needs the file {RAW}, or {' and '.join(PARTS.values())}")
    hashes = {name: mapping(f"{where}.source.files", listed, name).get("sha256") for name in files.values()}
    columns = {key: content.get(key) for key in ("layer", "symbol", "ensembl")}
    return Entry(
        obs={key: str(column) for key, column in obs.items()},
        derived=derived,
        label_source=label_source,
        x=x,
        numbers_repeated_ids=repeated_ids == "number",
        keep_var=mapping(where, content, "keep_var"),
        expected=expected,
        said=said,
        subset=parse_subset(f"{where}.subset", mapping(where, content, "subset"), annotations),
        finetune=finetune,
        files=files,
        samples=samples,
        labels=labels,
        parts=parse_parts(f"{where}.parts", mapping(where, content, "parts"), tuple(samples)),
        is_reanalysed=is_reanalysed,
        sha256={name: str(value).lower() for name, value in hashes.items() if value is not None},
        **{key: None if value is None else str(value) for key, value in columns.items()},
    )


def parse_samples(
    where: str, content: dict[str, Any], listed: tuple[str, ...], is_reanalysed: bool
) -> tuple[dict[str, SampleFiles], LabelTable | None]:
    """Check ``samples`` and ``labels``, which are there together; without labels cells must be re-analysed."""
    samples, labels = mapping(where, content, "samples"), mapping(where, content, "labels")
    if not samples and not labels:
        return {}, None
    if not samples or not (labels or is_reanalysed):
        raise ParamsError(
            f"{where}: samples and labels belong together; {'labels' if samples else 'samples'} is missing"
        )
    counts = {str(name): sample_files(f"{where}.samples.{name}", value) for name, value in samples.items()}
    for sample, files in counts.items():
        if not any(file == files.path or file.startswith(f"{files.path}/") for file in listed):
            raise ParamsError(
                f"{where}.samples.{sample}: {files.path!r} is neither a file nor a folder under source.files"
            )
    if not labels:
        return counts, None
    check_names(f"{where}.labels", labels, ("file", "sample", "names", "unlabelled", "least_share"))
    if labels.get("file") not in listed or not labels.get("sample"):
        raise ParamsError(f"{where}.labels: needs file, one of those under source.files, and sample, a column of it")
    names = {str(theirs): str(ours) for theirs, ours in mapping(f"{where}.labels", labels, "names").items()}
    unlabelled = labels.get("unlabelled", UNLABELLED[0])
    if unlabelled not in UNLABELLED:
        raise ParamsError(f"{where}.labels.unlabelled: {unlabelled!r} is neither of {' and '.join(UNLABELLED)}")
    least_share = labels.get("least_share", LEAST_SHARE)
    if not isinstance(least_share, (int, float)) or isinstance(least_share, bool) or not 0 <= least_share <= 1:
        raise ParamsError(f"{where}.labels.least_share: must be a number from 0 to 1, got {least_share!r}")
    file = str(labels["file"])
    places = origin.local_paths(content["source"], file)
    return counts, LabelTable(file, str(labels["sample"]), names, unlabelled == "keep", places, least_share)


def sample_files(where: str, value: Any) -> SampleFiles:
    """Return where the counts of a sample are, from a path or from ``{path: ..., suffix: ...}``."""
    content = value if isinstance(value, dict) else {"path": value}
    check_names(where, content, ("path", "suffix"))
    if not content.get("path"):
        raise ParamsError(f"{where}: needs the path of a file or folder under source.files")
    suffix = content.get("suffix")
    return SampleFiles(str(content["path"]).rstrip("/"), None if suffix is None else str(suffix))


def parse_parts(where: str, content: dict[str, Any], samples: tuple[str, ...]) -> dict[str, str]:
    """Check ``parts``: which samples are the reference and which the query, each sample once; return each one's."""
    if not content:
        return {}
    check_names(where, content, tuple(PARTS))
    listed = [(str(sample), part) for part in PARTS for sample in content.get(part) or ()]
    if sorted(sample for sample, _ in listed) != sorted(samples) or {part for _, part in listed} != set(PARTS):
        raise ParamsError(
            f"{where}: needs every sample once, under {' or '.join(PARTS)}: {', '.join(samples) or 'none'}"
        )
    return dict(listed)


def parse_said(
    where: str, content: dict[str, Any], annotations: tuple[str, ...]
) -> dict[str, dict[str, int | list[str]]]:
    """Check ``said``: per who says it, numbers, and for annotations numbers or lists of labels."""
    said: dict[str, dict[str, int | list[str]]] = {}
    for who in content:
        place, statements = f"{where}.{who}", mapping(where, content, who)
        check_names(place, statements, ("n_cells", "n_genes", "n_scored", *PARTS, *annotations))
        said[str(who)] = {
            key: sorted(map(str, value))
            if isinstance(value, list) and key in annotations
            else whole(f"{place}.{key}", value)
            for key, value in statements.items()
        }
    return said


def parse_derived(where: str, content: dict[str, Any], obs: dict[str, Any]) -> dict[str, Derivation]:
    """Check ``derive``: annotations that no column holds, each of one that a column does."""
    derived: dict[str, Derivation] = {}
    if not content:
        return derived
    from genept.datasets.derive import Binned, Mapped

    check_names(where, content, tuple(name for name in ANNOTATIONS if name not in obs))
    for name in content:
        place, how = f"{where}.{name}", mapping(where, content, name)
        check_names(place, how, ("of", "map", "edges", "quantiles", "over"))
        of, over = str(how.get("of")), how.get("over")
        for key in (of, over) if over is not None else (of,):
            if key not in obs:
                raise ParamsError(f"{place}: {key!r} is not an annotation under obs ({', '.join(obs)})")
        if sum(key in how for key in ("map", "edges", "quantiles")) != 1:
            raise ParamsError(f"{place}: needs one of map, edges and quantiles")
        if "map" in how:
            derived[name] = Mapped(of, {str(label): str(value) for label, value in mapping(place, how, "map").items()})
        elif "quantiles" in how:
            derived[name] = Binned(of, quantiles=whole(f"{place}.quantiles", how["quantiles"], 2), over=over)
        else:
            derived[name] = Binned(of, edges=ascending(f"{place}.edges", how["edges"]))
    return derived


def parse_subset(where: str, content: dict[str, Any], obs: dict[str, Any]) -> Subset | None:
    """Check a ``subset``; an empty one means that every cell is evaluated."""
    if not content:
        return None
    check_names(where, content, ("n_cells", "share", "by", "seed"))
    by, share = content.get("by"), content.get("share")
    if by is not None and by not in obs:
        raise ParamsError(f"{where}.by: {by!r} is not an annotation under obs ({', '.join(obs)})")
    seed = whole(f"{where}.seed", content.get("seed", 0), 0)
    if share is None:
        return Subset(whole(f"{where}.n_cells", content.get("n_cells")), by, seed)
    if "n_cells" in content or not isinstance(share, float) or not 0 < share < 1:
        raise ParamsError(f"{where}: needs n_cells, or a share of the cells such as 0.2, got {content!r}")
    return Subset(None, by, seed, share)
