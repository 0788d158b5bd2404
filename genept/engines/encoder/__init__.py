"""Text encoders: a vector for a text, be it a gene's description or a cell's sentence.

``encoder.py``
    The interface, `Encoder`.
``loading.py``
    `load_encoder` returns the encoder that a model names.
``settings.py``
    What a model's file may say of its encoder.
``local.py``
    A sentence encoder in a folder. Its network is a BERT (``genept/engines/network/bert.py``) or another one that the
    package transformers knows (``automodel.py``); ``words.py`` tokenises every word once.
``openai.py``
    OpenAI's embeddings API, or any server of that protocol; ``tokens.py`` counts tokens before they are paid for.

To add another kind of encoder, derive a class from `Encoder` in a new file, add its name to `EncoderConfig.encoder` and
a line to `load_encoder`. GenePT-s and the gene vectors of GenePT-w can then use it.
"""
