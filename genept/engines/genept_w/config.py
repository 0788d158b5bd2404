"""Settings of a GenePT-w model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from genept.core.config import Config
from genept.engines.config import ModelConfig
from genept.engines.encoder.settings import EncoderConfig

FileName = Annotated[str, Field(pattern=r"^[^/\\]+$")]  # of data/encoders/<model>/


class Vectors(EncoderConfig):
    """Where gene vectors come from: a text about every gene that an encoder reads, or a file that somebody released."""

    text: Literal["name", "long", "summary"] | None = None
    released: FileName | None = None
    summaries: FileName | None = None  # the texts of `text: summary`
    without_summary: Literal["name", "leave_out"] | None = None  # what becomes of the other genes; None: name
    locus_types: list[str] | None = None  # the genes that get a vector, by HGNC locus type; None: all
    n_dimensions: PositiveInt | None = None  # of the vectors of `released`; another number is another release
    n_genes: PositiveInt | None = None  # that `released` names

    @model_validator(mode="after")
    def check(self) -> Vectors:
        """Refuse settings that contradict each other or would have no effect."""
        if (self.text is None) == (self.released is None):
            raise ValueError("set one of text and released")
        if (self.text == "summary") != (self.summaries is not None):
            raise ValueError("summaries: the file belongs to `text: summary`, which needs it")
        if self.without_summary and self.text != "summary":
            raise ValueError("without_summary: belongs to `text: summary`")
        if self.released and (self.locus_types is not None or self.encoder != "local"):
            raise ValueError("locus_types and encoder belong to `text`; released vectors are taken over as they are")
        if not self.released and (self.n_dimensions or self.n_genes):
            raise ValueError("n_dimensions and n_genes: belong to `released`")
        return self


class Embed(Config):
    """How a cell's sum of gene vectors is scaled."""

    divide_by: Literal["n_genes", "weights"] = "n_genes"
    unit_norm: bool = True


class Model(ModelConfig):
    """A GenePT-w model, or a control: the same with gene vectors that mean nothing."""

    vectors: Vectors | None = None
    control: Literal["random", "shuffled"] | None = None
    draws: Annotated[int, Field(ge=1, le=10_000)] | None = None  # of a control: how often its gene vectors are drawn
    embed: Embed = Embed()

    @model_validator(mode="after")
    def check(self) -> Model:
        """Refuse a model with both or neither kind of gene vectors, and one whose draws are not settled."""
        if (self.vectors is None) == (self.control is None):
            raise ValueError("set one of vectors and control")
        if (self.draws is None) != (self.control is None):
            raise ValueError("draws: belongs to `control`, which needs it; 1 is the least")
        return self
