"""Text encoders: a vector for a text, be it a gene's description or a cell's sentence.

To add a kind of encoder, derive a class from `genept.engines.encoder.encoder.Encoder` in a new file, add its name to
`EncoderConfig.encoder` and a line to `load_encoder` in ``loading.py``. GenePT-s and the gene vectors of GenePT-w can
then use it.
"""
