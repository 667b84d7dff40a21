"""Halving, without a lab."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.bisection.find import find_flip, steps_left

places = st.integers(2, 80)


@given(places, st.data())
def test_one_flip_is_found_in_as_many_steps_as_were_told(length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, length - 1))
    told: list[tuple[int, int]] = []
    found = find_flip(0, length - 1, lambda place: place >= first, lambda *step: told.append(step))
    assert (found.before, found.after, found.unknown) == (first - 1, first, ())
    assert len(told) <= (told[0][1] if told else 0) == steps_left(length - 2)
    assert [left for _, left in told] == sorted((left for _, left in told), reverse=True)
    assert len({place for place, _ in told}) == len(told)


@given(st.lists(st.sampled_from([True, False, None]), max_size=40), st.sampled_from([1, -1]))
def test_what_is_found_is_a_flip_and_all_between_is_unknown(middle: list[bool | None], direction: int) -> None:
    answers = [False, *middle, True]
    along = answers[::direction]
    asked: list[int] = []

    def holds(place: int) -> bool | None:
        asked.append(place)
        return along[place]

    low, high = (0, len(along) - 1)[::direction]
    found = find_flip(low, high, holds)
    at = [along[place] for place in (found.before, found.after, *found.unknown)]
    assert at[:2] == [False, True]
    assert set(at[2:]) <= {None}
    assert set(found.unknown) == set(range(min(found.before, found.after) + 1, max(found.before, found.after)))
    assert len(set(asked)) == len(asked)


def test_the_unknown_middle_gives_way_to_its_neighbour() -> None:
    asked: list[int] = []

    def holds(place: int) -> bool | None:
        asked.append(place)
        return None if place == 4 else place >= 4

    assert find_flip(0, 8, holds).unknown == (4,)
    assert asked[:2] == [4, 3]
