"""The stand-in for torchtext, which the scgpt package imports."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from genept.engines.scgpt import torchtext_stand_in


def test_the_vocabulary_numbers_tokens_and_inserts_between() -> None:
    vocab = torchtext_stand_in.vocab({"a": 3, "b": 1, "c": 2}, min_freq=2, specials=["<pad>"])
    assert vocab.get_itos() == ["<pad>", "a", "c"]
    vocab.insert_token("x", 1)
    vocab.append_token("y")
    assert vocab.get_stoi() == {"<pad>": 0, "x": 1, "a": 2, "c": 3, "y": 4}
    assert vocab(["c", "a"]) == vocab.lookup_indices(["c", "a"]) == [3, 2]
    assert vocab.lookup_tokens([4, 0]) == ["y", "<pad>"]
    assert len(vocab) == 5
    assert "x" in vocab
    with pytest.raises(RuntimeError, match="already in the vocabulary"):
        vocab.append_token("a")
    with pytest.raises(RuntimeError, match="outside"):
        vocab.insert_token("z", 6)
    with pytest.raises(RuntimeError, match="outside"):
        vocab.lookup_token(-1)


def test_the_default_index_answers_for_unknown_tokens_only_once_set() -> None:
    vocab = torchtext_stand_in.vocab({"a": 1}, specials=["<pad>"], special_first=False)
    with pytest.raises(RuntimeError, match="no default index"):
        vocab["b"]
    vocab.set_default_index(vocab["<pad>"])
    assert vocab["b"] == vocab.get_default_index() == 1
    assert "b" not in vocab
    assert torchtext_stand_in.Vocab(vocab.vocab)["b"] == 1


def test_a_torchtext_that_loads_is_left_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    real, real_vocab = ModuleType("torchtext"), ModuleType("torchtext.vocab")
    monkeypatch.setitem(sys.modules, "torchtext", real)
    monkeypatch.setitem(sys.modules, "torchtext.vocab", real_vocab)
    torchtext_stand_in.install()
    assert sys.modules["torchtext.vocab"] is real_vocab


def test_a_torchtext_whose_library_does_not_load_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "torchtext"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('undefined symbol')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchtext", "torchtext.vocab"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    torchtext_stand_in.install()
    assert sys.modules["torchtext.vocab"].Vocab is torchtext_stand_in.Vocab
