"""What is computed ahead of the caller, and in what order it comes."""

import threading

import pytest

from state_gradients.engine import words


def test_items_come_in_order_and_no_more_than_asked_are_computed_ahead():
    started, may_go_on = [], threading.Semaphore(0)

    def items():
        for k in range(6):
            started.append(k)
            may_go_on.release()
            yield k

    with words._ahead(items(), 2) as ahead:
        for _ in range(2):  # at once, before anything is asked for
            assert may_go_on.acquire(timeout=10)
        assert started == [0, 1]
        for k in range(4):
            assert next(ahead) == k
            assert may_go_on.acquire(timeout=10)
            assert started == [*range(k + 3)]
        assert list(ahead) == [4, 5]


def test_an_error_comes_where_its_item_would():
    def items():
        yield 1
        raise ValueError("the second item")

    with words._ahead(items(), 3) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="the second item"):
            next(ahead)


def test_who_leaves_early_leaves_no_thread_behind():
    before = threading.active_count()
    with words._ahead(iter(range(100)), 2) as ahead:
        assert next(ahead) == 0
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
