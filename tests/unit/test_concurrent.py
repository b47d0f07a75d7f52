"""Many things at once, within a bound, and no error is lost."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from labctl import concurrent
from labctl.concurrent import Stop, each, gather, together, within
from labctl.errors import Abandoned, LabError, NotYetError, SeveralErrors

PATIENCE = 10.0  # seconds, for threads that only a bug keeps waiting


def failed(error: BaseException) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(error)
    return future


def test_results_come_in_the_order_of_the_items() -> None:
    last_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            last_is_done.set()
        assert last_is_done.wait(PATIENCE)
        return item * 10

    assert each([1, 2, 3], work) == [10, 20, 30]


def test_nothing_to_do_is_done() -> None:
    assert each([], str) == []


def test_a_single_item_needs_no_thread() -> None:
    assert each([1], lambda _: threading.current_thread()) == [threading.current_thread()]


def test_as_many_run_at_once_as_are_allowed_and_no_more() -> None:
    all_there = threading.Barrier(3)
    lock = threading.Lock()
    running, most = 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_there.wait(PATIENCE)
        with lock:
            running -= 1

    each(range(6), work, at_once=3)

    assert most == 3


def test_one_error_is_raised_as_it_is() -> None:
    def work(item: int) -> None:
        if item == 2:
            raise LabError("two is broken")

    with pytest.raises(LabError, match="two is broken"):
        each([1, 2, 3], work)


def test_several_errors_are_raised_together() -> None:
    def work(item: int) -> None:
        raise LabError(f"{item} is broken")

    with pytest.raises(SeveralErrors) as caught:
        each([1, 2], work)

    assert caught.value.message.splitlines() == ["1 is broken", "2 is broken"]


def test_the_others_go_on_to_their_end_when_one_fails() -> None:
    done: list[int] = []
    one_failed = threading.Event()

    def work(item: int) -> None:
        if item == 0:
            one_failed.set()
            raise LabError("broken")
        assert one_failed.wait(PATIENCE)
        done.append(item)

    with pytest.raises(LabError):
        each(range(4), work)

    assert sorted(done) == [1, 2, 3]


def test_a_bug_is_not_hidden_among_errors_of_the_lab() -> None:
    with pytest.raises(ZeroDivisionError):
        gather([failed(LabError("broken")), failed(ZeroDivisionError())])


def test_ctrl_c_in_a_job_is_not_turned_into_an_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        gather([failed(KeyboardInterrupt()), failed(LabError("broken"))])


def test_after_ctrl_c_nothing_begins_that_had_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    cancelled = threading.Event()

    class Watched(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait, cancel_futures=cancel_futures)
            cancelled.set()

    def work(item: int) -> None:
        begun.append(item)
        ctrl_c()
        assert cancelled.wait(PATIENCE)

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", Watched)
    with pytest.raises(KeyboardInterrupt):
        each(range(5), work, at_once=1)

    assert begun == [0]


def ctrl_c() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


@pytest.mark.parametrize("items", [1, 3])
def test_ctrl_c_ends_what_the_threads_wait_for(items: int) -> None:
    stop = Stop()
    waiting = threading.Barrier(items + 1)
    ends: list[int] = []

    def work(item: int) -> None:
        ended = threading.Event()
        with stop.ended_by(lambda: ends.append(item), ended.set):
            waiting.wait(PATIENCE)
            assert ended.wait(PATIENCE)

    def press() -> None:
        waiting.wait(PATIENCE)
        ctrl_c()

    pressing = threading.Thread(target=press)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        each(range(items), work, stop=stop)
    pressing.join()

    assert sorted(ends) == list(range(items))


def test_what_begins_to_wait_after_a_stop_is_ended_at_once() -> None:
    stop = Stop()
    stop()
    did: list[str] = []

    with stop.ended_by(lambda: did.append("end"), lambda: did.append("cut")):
        assert did == ["end", "cut"]


def test_who_has_waited_is_not_ended_any_more() -> None:
    stop = Stop()
    did: list[str] = []
    with stop.ended_by(lambda: did.append("end"), lambda: did.append("cut")):
        pass

    stop()

    assert did == []


def test_an_end_that_hangs_or_fails_does_not_keep_the_wait_going(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrent, "LAST_WORDS", 0.05)
    hangs, cut = threading.Event(), threading.Event()
    stop = Stop()

    with stop.ended_by(hangs.wait, cut.set):
        stop()

        assert cut.is_set()
    hangs.set()


def test_what_fails_on_the_way_out_is_not_told() -> None:
    def fail() -> None:
        raise LabError("the node is gone")

    within(PATIENCE, fail)


def test_an_error_that_only_follows_from_another_is_not_told() -> None:
    cause = LabError("no disk")

    with pytest.raises(LabError) as caught:
        gather([failed(Abandoned("another node failed")), failed(cause)])

    assert caught.value is cause


def test_an_error_that_follows_is_told_where_there_is_no_other() -> None:
    with pytest.raises(Abandoned):
        gather([failed(Abandoned("another node failed"))])


def test_the_same_error_in_two_futures_is_one_error() -> None:
    cause = NotYetError("soon")

    with pytest.raises(NotYetError) as caught:
        gather([failed(cause), failed(cause)])

    assert caught.value is cause


def test_jobs_that_wait_for_each_other_run_together() -> None:
    both_there = threading.Barrier(2)

    together(lambda: both_there.wait(PATIENCE), lambda: both_there.wait(PATIENCE))


def test_no_jobs_are_done_at_once() -> None:
    together()
