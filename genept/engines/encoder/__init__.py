"""Text encoders: a vector for a text, be it a gene's description or a cell's sentence.

``encoder.py``
    The interface, `Encoder`, and `load`, which chooses one by a model's settings.
``settings.py``
    What a model's file may say of its encoder.
``local.py``
    A sentence encoder in a folder. Its network is a BERT (``bert.py``) or another one that the package transformers
    knows (``automodel.py``); ``words.py`` tokenises every word once.
``openai.py``
    OpenAI's embeddings API, or any server of that protocol; ``tokens.py`` counts tokens before they are paid for.

To add another kind of encoder, derive a class from `Encoder` in a new file, add its name to `EncoderConfig.encoder` and
a line to `load`. GenePT-s and the gene vectors of GenePT-w can then use it.
"""
