"""The ``scgpt`` package itself: its network, to train one and to check ours against. Importing it takes seconds.

The package imports torchtext, which is no longer developed and does not load beside current versions of torch. It needs
only an ordered dictionary of it, for which `Vocab` and `vocab` stand in.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genept.core.cli import progress_bar
from genept.core.errors import InputError
from genept.engines.scgpt.checkpoint import PAD, UNUSED, Args, Checkpoint
from genept.engines.scgpt.tokens import Tokens

if TYPE_CHECKING:
    from scgpt.model import TransformerModel

BATCH_SIZE = 64  # as embed_data


def package() -> Any:
    """Import and return the ``scgpt`` package, without its messages on standard output."""
    install_torchtext()
    logger = logging.getLogger("scGPT")
    if not logger.handlers:  # else the package adds one that writes to standard output
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the missing flash_attn, which is for GPUs and optional
            import scgpt
    except ImportError as error:
        raise InputError(
            f"the scgpt package cannot be imported ({error}); `make setup` installs it, while a bare `pip install "
            "scgpt` does not work because of its outdated pins"
        ) from None
    return scgpt


def network(args: Args, n_tokens: int, pad_id: int) -> TransformerModel:
    """Return upstream's network with fresh weights, as ``embed_data`` makes it but without dropout."""
    return package().model.TransformerModel(
        ntoken=n_tokens,
        d_model=args.embsize,
        nhead=args.nheads,
        d_hid=args.d_hid,
        nlayers=args.nlayers,
        vocab={PAD: pad_id},  # all that it asks of the vocabulary
        pad_token=PAD,
        pad_value=args.pad_value,
        do_mvc=True,
        use_fast_transformer=False,
        dropout=0.0,
    )


def embed(checkpoint: Checkpoint, tokens: Tokens, device: str = "cpu") -> np.ndarray:
    """Embed cells with upstream's network: the same input and output as `genept.engines.scgpt.embed.encode`."""
    args, pad_id = checkpoint.args, checkpoint.vocab[PAD]
    model = network(args, len(checkpoint.weights["encoder.embedding.weight"]), pad_id)
    wrong = model.load_state_dict(checkpoint.weights, strict=False)
    assert not wrong.unexpected_keys and all(name.startswith(UNUSED) for name in wrong.missing_keys)
    model.to(device).eval()
    embeddings = np.empty((len(tokens), args.embsize), dtype=np.float32)
    starts = range(0, len(tokens), BATCH_SIZE)
    with torch.inference_mode(), without_fused_layers(), progress_bar("cells", len(tokens), "cell") as bar:
        for start in starts:
            cells = np.arange(start, min(start + BATCH_SIZE, len(tokens)))
            ids, values, padding = (torch.from_numpy(a).to(device) for a in tokens.pad(cells, pad_id, args.pad_value))
            output = model._encode(ids, values, padding)
            embeddings[cells] = torch.nn.functional.normalize(output[:, 0], dim=1).cpu().numpy()
            bar.update(len(cells))
    return embeddings


@contextlib.contextmanager
def without_fused_layers() -> Iterator[None]:
    """Turn off torch's fused encoder layer, which on a processor takes several times as long for the same numbers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Vocab(dict):
    """The number of every token, from 0: what ``scgpt`` uses of ``torchtext.vocab.Vocab``, under its names.

    It inserts tokens at the end only, in the order of the numbers.
    """

    default: int | None = None

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        super().__init__(tokens if isinstance(tokens, Vocab) else {token: i for i, token in enumerate(tokens)})
        self.vocab = self  # torchtext's holds the tokens in C++

    def __missing__(self, token: str) -> int:
        if self.default is None:
            raise RuntimeError(f"token {token} is not in the vocabulary and no default index is set")
        return self.default

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """Return the numbers of several tokens."""
        return [self[token] for token in tokens]

    insert_token = dict.__setitem__
    get_stoi = dict.copy

    def append_token(self, token: str) -> None:
        """Add a token at the end."""
        self[token] = len(self)

    def set_default_index(self, index: int | None) -> None:
        """Set the number of unknown tokens."""
        self.default = index


def vocab(ordered_dict: Iterable[str], min_freq: int = 1) -> Vocab:
    """Make a vocabulary; ``scgpt`` calls it with tokens that all are frequent enough."""
    return Vocab(ordered_dict)


def install_torchtext() -> None:
    """Make ``import torchtext.vocab`` work: with the real one where it loads, else with `Vocab` and `vocab`."""
    try:
        import torchtext.vocab  # noqa: F401
    except (ImportError, OSError, RuntimeError):  # absent; or its library does not match torch
        for name in [name for name in sys.modules if name.split(".")[0] == "torchtext"]:
            del sys.modules[name]
        parent, module = ModuleType("torchtext"), ModuleType("torchtext.vocab")
        parent.__path__ = []
        module.__dict__.update(Vocab=Vocab, vocab=vocab)
        parent.__dict__["vocab"] = module
        sys.modules |= {"torchtext": parent, "torchtext.vocab": module}
