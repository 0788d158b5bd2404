"""GenePT-s by the authors' encoder: the engine `genept_s` with its entry in params.yaml; nothing is fetched."""

from genept.engines.genept_s.embed import embed

__all__ = ["embed"]
