"""Which keys a model's entry may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genept import engines as embed
from genept.core.errors import ParamsError
from genept.engines.geneformer import embed as geneformer
from genept.engines.genept_s import embed as genept_s
from genept.engines.genept_w import embed as genept_w
from genept.engines.scgpt import embed as scgpt
from tests import helpers
from tests.engines.embed.made import make_cells

ENTRIES = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("model", ENTRIES)
def test_every_entry_of_the_repository_is_of_known_keys(model: str) -> None:
    embed.check_keys(ENTRIES[model])


def test_every_engine_has_its_keys_listed() -> None:
    files = Path(embed.__file__).parent.glob("[!_]*.py")
    assert {path.stem for path in files} == set(embed.KEYS)


def test_an_unknown_key_is_one_line_that_names_the_nearest() -> None:
    with pytest.raises(ParamsError) as error:
        embed.check_keys({"title": "t", "engine": "geneformer", "precison": "bfloat16"})
    assert error.value.message == (
        "params.yaml: engine geneformer has no option 'precison'; did you mean 'precision'? "
        "Known: title, note, paper, engine, source, pretrain, precision"
    )
    assert error.value.exit_code == 2


def test_a_key_of_another_engine_and_one_that_is_near_none_are_refused_too() -> None:
    with pytest.raises(ParamsError, match=r"engine genept_w has no option 'binning'\. Known: title"):
        embed.check_keys({"engine": "genept_w", "binning": "drawn"})
    of_numbers: dict[Any, Any] = {"engine": "scgpt", 7: "drawn"}
    with pytest.raises(ParamsError, match=r"engine scgpt has no option 7\. Known: title"):
        embed.check_keys(of_numbers)


def test_a_model_that_is_its_own_file_may_have_any_keys() -> None:
    embed.check_keys({"title": "t", "n_components": 50, "precison": 1})


@pytest.mark.parametrize("engine", [geneformer, genept_s, genept_w, scgpt])
def test_engines_check_the_keys_before_they_read_a_model(engine: Any) -> None:
    options = {"engine": engine.__name__.rpartition(".")[2], "implementation": "native", "seed": 0, "max_length": 9}
    known = embed.KEYS[options["engine"]]
    options = {key: value for key, value in options.items() if key in ("engine", *known)}
    with pytest.raises(ParamsError, match="has no option 'max_lenght'"):
        engine.embed(make_cells(3, 5), Path("nowhere"), options | {"max_lenght": 8}, "cpu")
