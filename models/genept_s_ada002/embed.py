"""GenePT-s by the authors' encoder: the engine `genept_s` with its entry in params.yaml; nothing is fetched."""

from stages.embed.genept_s import embed

__all__ = ["embed"]
