"""Notes of some cells and of others become those of all, whatever the parts, and pass through JSON unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.core.notes import Amount, Mean, Total, merged, packed, unpacked

whole = st.integers(0, 2**40)
totals = whole.map(Total)
amounts = st.integers(0, 10**9).map(lambda n: Amount(round(n / 10**6, 6)))
means = st.builds(Mean, whole, whole, st.sampled_from([2, 6]))
texts = st.text(max_size=5)
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.lists(whole))
anything = st.recursive(
    st.one_of(totals, amounts, means, plain), lambda some: st.dictionaries(texts, some, max_size=3), max_leaves=8
)
ONE = {
    "n": totals,
    "usd": amounts,
    "mean": st.builds(Mean, whole, whole, st.just(6)),
    "cosine_min": st.floats(-1, 1),
    "length_max": st.integers(0, 999),
    "comparable": st.booleans(),
    "engine": st.just("x"),
    "device": st.sampled_from(["cpu", "2 x H200"]),
    "missing": st.just(7),
}
notes_of_cells = st.fixed_dictionaries(
    {**ONE, "nested": st.fixed_dictionaries({}, optional={"n": totals, "cosine_min": st.floats(-1, 1)})}
)


def kinds(value: Any) -> Any:
    """Types as well as values: of a mean also what was divided."""
    if isinstance(value, dict):
        return {name: kinds(one) for name, one in value.items()}
    return type(value), value, vars(value) if isinstance(value, Mean) else None


@given(st.dictionaries(texts, anything, max_size=4))
@settings(max_examples=40)
def test_notes_pass_through_json_unchanged(notes: dict[str, Any]) -> None:
    again = unpacked(json.loads(json.dumps(packed(notes))))
    assert kinds(again) == kinds(notes) and list(again) == list(notes)
    assert json.dumps(again) == json.dumps(notes)


@given(st.lists(notes_of_cells, min_size=1, max_size=6), st.data())
@settings(max_examples=40)
def test_it_does_not_matter_which_notes_are_merged_first(parts: list[dict[str, Any]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(parts) - 1))
    pairs = [merged(some) for some in (parts[:cut], parts[cut:]) if some]
    together, again = merged(parts), merged(pairs)
    assert together.pop("device").split(", ") == list(dict.fromkeys(again.pop("device").split(", ")))
    usd, other = together.pop("usd"), again.pop("usd")
    assert usd == pytest.approx(other, abs=1e-6) and isinstance(usd, Amount)
    assert kinds(together) == kinds(again)
    assert together["n"] == sum(part["n"] for part in parts)
    assert together["cosine_min"] == min(part["cosine_min"] for part in parts)
    assert together["length_max"] == max(part["length_max"] for part in parts)
    assert together["comparable"] is all(part["comparable"] for part in parts)


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=5), min_size=1, max_size=5))
@settings(max_examples=40)
def test_the_mean_of_parts_is_the_mean_of_all_their_cells(parts: list[list[int]]) -> None:
    found = merged([{"mean": Mean(sum(some), len(some), 6)} for some in parts])["mean"]
    cells = [value for some in parts for value in some]
    assert found == (round(sum(cells) / len(cells), 6) if cells else 0) and isinstance(found, Mean)


@pytest.mark.parametrize(("one", "other"), [(7, 5), (True, False), ("'a'", "'b'")])
def test_a_note_of_which_nobody_said_how_it_adds_up_is_refused_in_one_line(one: Any, other: Any) -> None:
    with pytest.raises(InputError) as caught:
        merged([{"nested": {"it": one}}, {"nested": {"it": other}}], "notes")
    assert caught.value.message == (
        f"notes: nested: it differs between parts of the cells ({one!r}, {other!r}); note what adds up as "
        "genept.core.notes.Total, a mean as Mean"
    )
