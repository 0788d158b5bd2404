"""Train small models with each method's own objective, on cells that no evaluation uses.

Every engine file in this folder offers one function::

    def pretrain(corpora: list[AnnData], options: dict[str, Any], folder: Path, device: str) -> list[tuple[int, float]]

``corpora``
    For each dataset the cells outside its evaluated subset, see `genept.data.cells`; not to be changed.
``options``
    ``pretrain:`` in the model's entry in params.yaml.
``folder``
    An empty folder, which gets the checkpoint in the layout of the method's released ones.
``device``
    ``cpu`` or ``cuda``.

It returns the number, from 1, and the loss of every step.
"""
