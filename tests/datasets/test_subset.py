"""Which cells are evaluated: shares of groups, and the draw."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.datasets.label import draw, shares
from genept.datasets.nested_config import Subset

SIZES = st.dictionaries(st.text(alphabet="abcdef", min_size=1, max_size=3), st.integers(1, 60), min_size=1, max_size=9)


def fill_one_by_one(sizes: dict[str, int], n_cells: int) -> list[int]:
    """Give cells one at a time to whoever has the fewest and can give more; the sizes given, in ascending order."""
    given_cells = dict.fromkeys(sizes, 0)
    for _ in range(min(n_cells, sum(sizes.values()))):
        group = min((name for name in sizes if given_cells[name] < sizes[name]), key=given_cells.__getitem__)
        given_cells[group] += 1
    return sorted(given_cells.values())


@settings(max_examples=30)
@given(SIZES, st.integers(1, 300))
def test_shares_are_as_even_as_the_groups_allow(sizes: dict[str, int], n_cells: int) -> None:
    given_cells = shares(sizes, n_cells)
    assert sum(given_cells.values()) == min(n_cells, sum(sizes.values()))
    assert all(0 <= given_cells[group] <= sizes[group] for group in sizes)
    assert sorted(given_cells.values()) == fill_one_by_one(sizes, n_cells)


def test_shares_by_hand() -> None:
    assert shares({"a": 2, "b": 10, "c": 10}, 11) == {"a": 2, "b": 4, "c": 5}  # the last of equal ones gives more
    assert shares({"a": 10, "b": 10, "c": 20}, 4) == {"a": 1, "b": 1, "c": 2}  # the largest gives one more


@settings(max_examples=30)
@given(SIZES, st.integers(1, 200), st.integers(0, 5), st.randoms())
def test_the_draw_does_not_depend_on_the_order_of_the_cells(
    sizes: dict[str, int], n: int, seed: int, random: object
) -> None:
    cells = [(f"{group}-{index}", group) for group, size in sizes.items() for index in range(size)]
    shuffled = list(cells)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    chosen = []
    for order in (cells, shuffled):
        ids, groups = [cell for cell, _ in order], [group for _, group in order]
        mask = draw(ids, groups, Subset(n_cells=n, by="patient", seed=seed))
        assert mask.sum() == min(n, len(cells))
        chosen.append({cell for cell, is_in in zip(ids, mask, strict=True) if is_in})
        counts = Counter(group for group, is_in in zip(groups, mask, strict=True) if is_in)
        assert counts == Counter({group: share for group, share in shares(sizes, n).items() if share})
    assert chosen[0] == chosen[1]


def test_another_seed_draws_other_cells_and_the_same_seed_the_same() -> None:
    ids = [f"cell{index}" for index in range(400)]
    first, again, other = (draw(ids, None, Subset(n_cells=100, seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert 10 < (first & other).sum() < 50  # 25 by chance


@pytest.mark.parametrize("subset", [None, Subset(n_cells=5), Subset(n_cells=6)])
def test_without_a_subset_or_with_a_large_one_every_cell_is_evaluated(subset: Subset | None) -> None:
    assert draw(list("abcde"), None, subset).all()
