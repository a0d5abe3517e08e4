"""Pictures in the plan of a step: rows of vectors go in a batch of their own, beside the tokens of all others."""

import numpy as np
import pytest
from fakes.sequences import sequence

from ollamapy.runner.model import Grid, Picture
from ollamapy.runner.prefix import PrefixTree
from ollamapy.runner.scheduler import Scheduler, Step
from ollamapy.runner.sequence import Sequence
from ollamapy.runner.whole import WholePrefixes


def picture(start: int, count: int, *, is_causal: bool = True) -> Picture:
    return Picture(start, np.zeros((count, 2), np.float32), is_causal)


def gridded(start: int, count: int, num_positions: int) -> Picture:
    places = np.arange(4 * count, dtype=np.int32).reshape(4, count)
    return Picture(start, np.zeros((count, 2), np.float32), True, Grid(places, num_positions))


def seeing(request_id: int, num_prompt: int, *pictures: Picture) -> Sequence:
    one = sequence(request_id, num_prompt=num_prompt, num_ctx=500)
    one.pictures = pictures
    return one


def scheduler(*sequences: Sequence, is_whole: bool = False, max_batch: int = 64) -> Scheduler:
    cache = WholePrefixes(16) if is_whole else PrefixTree(16)
    books = Scheduler(pool_tokens=1000, num_parallel=8, max_batch=max_batch, cache=cache)
    for one in sequences:
        books.submit(one)
    return books


def plan(step: Step) -> list[list[tuple[int, int]]]:
    """The batches as (request, tokens)."""
    return [[(planned.sequence.id, planned.count) for planned in batch] for batch in step.batches]


def run(books: Scheduler, budget: int = 50) -> list[list[tuple[int, int]]]:
    """Does what the loop does with a step; answers its batches."""
    step = books.next_step(budget)
    told = plan(step)
    for batch in step.batches:
        for planned in batch:
            is_last = planned.is_last
            books.computed(planned)
            if is_last:
                planned.sequence.append(65, b"A")
    books.check()
    return told


@pytest.mark.parametrize("is_whole", [False, True])
def test_text_and_picture_and_text_go_one_after_the_other(is_whole: bool) -> None:
    books = scheduler(seeing(1, 30, picture(10, 15)), is_whole=is_whole)

    assert [run(books) for _ in range(3)] == [
        [[(1, 10)]],
        [[(1, 15)]],
        [[(1, 4)]] if is_whole else [[(1, 5)]],
    ]


def test_a_picture_goes_beside_a_stream() -> None:
    books = scheduler(sequence(1, num_prompt=5, num_ctx=500))
    run(books)
    books.submit(seeing(2, 20, picture(0, 15)))

    assert run(books) == [[(1, 1)], [(2, 15)]]
    assert run(books) == [[(1, 1), (2, 5)]]


def test_one_picture_goes_at_a_time_and_the_next_is_not_forgotten() -> None:
    books = scheduler(seeing(1, 20, picture(0, 15)), seeing(2, 20, picture(0, 15)))

    assert run(books) == [[(1, 15)]]
    assert run(books) == [[(1, 5)], [(2, 15)]]
    assert run(books) == [[(1, 1), (2, 5)]]


def test_two_pictures_in_a_row_are_two_parts() -> None:
    books = scheduler(seeing(1, 31, picture(0, 15), picture(15, 15)))

    assert [run(books) for _ in range(3)] == [[[(1, 15)]], [[(1, 15)]], [[(1, 1)]]]


def test_a_picture_is_cut_to_the_budget() -> None:
    books = scheduler(seeing(1, 22, picture(0, 17)))

    assert [run(books, budget=8) for _ in range(3)] == [[[(1, 8)]], [[(1, 9)]], [[(1, 5)]]]


def test_a_picture_whose_rows_see_each_other_is_never_cut() -> None:
    books = scheduler(seeing(1, 20, picture(0, 15, is_causal=False)))

    assert run(books, budget=8) == [[(1, 15)]]


def test_a_prompt_may_end_with_a_picture() -> None:
    books = scheduler(seeing(1, 20, picture(5, 15)))

    assert [run(books) for _ in range(3)] == [[[(1, 5)]], [[(1, 15)]], [[(1, 1)]]]


def test_a_picture_that_is_cached_in_part_goes_on_in_its_middle() -> None:
    first = seeing(1, 20, picture(5, 15))
    books = scheduler(first)
    run(books)
    run(books)
    books.remove(first)
    second = seeing(1, 20, picture(5, 15))
    second.tokens[12:] = range(8)
    books.submit(second)

    step = books.next_step(50)

    assert plan(step) == [[(1, 8)]]
    assert second.picture is not None
    assert len(second.picture.part(12, 20).rows) == 8


@pytest.mark.parametrize(
    ("num_computed", "position", "edge"),
    [
        (0, 0, 0),
        (10, 10, 10),
        (11, 10, 11),
        (24, 10, 11),
        (25, 13, 13),
        (30, 18, 18),
        (35, 18, 19),
        (39, 18, 19),
        (40, 20, 20),
    ],
)
def test_images_in_a_grid_take_fewer_positions_than_tokens(num_computed: int, position: int, edge: int) -> None:
    one = seeing(1, 50, gridded(10, 15, 3), gridded(30, 10, 2))
    one.num_computed = num_computed

    assert (one.position, one.edge) == (position, edge)


def test_without_a_grid_positions_are_tokens() -> None:
    one = seeing(1, 50, picture(10, 15))
    one.num_computed = 17

    assert (one.position, one.edge) == (17, 17)


def test_a_part_of_a_grid_has_the_places_of_its_rows() -> None:
    part = gridded(10, 15, 3).part(12, 14)

    assert part.grid
    assert part.grid.places.tolist() == [[2, 3], [17, 18], [32, 33], [47, 48]]
    assert len(part.rows) == 2
