"""Signals, descriptors, the loop's timers and errors. (Forks: gevent's waitpid() misses a child now and then.)"""

import importlib
import io
import os
import signal
from typing import Any


def module(rt: Any, name: str) -> Any:
    """Return a module of the runtime."""
    return importlib.import_module(f"{rt.__name__}.{name}")


def case_signal_handler_runs_in_a_greenlet(rt: Any) -> None:
    seen = rt.event.AsyncResult()

    def handler(*args: Any, **kwargs: Any) -> None:
        rt.sleep(0)  # may block
        seen.set((type(rt.getcurrent()).__name__, args, kwargs))

    one = rt.signal_handler(signal.SIGUSR1, handler, 1, two=2)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen.get(timeout=2) == ("Greenlet", (1,), {"two": 2})
    finally:
        one.cancel()


def case_signal_handlers_share_a_signal(rt: Any) -> None:
    calls: list[int] = []
    several = [rt.signal_handler(signal.SIGUSR2, calls.append, n) for n in range(3)]
    several[1].cancel()
    os.kill(os.getpid(), signal.SIGUSR2)
    for _ in range(20):
        rt.sleep(0.001)
    for one in several:
        one.cancel()
    assert sorted(calls) == [0, 2]


def case_signal_handler_has_to_be_callable(rt: Any) -> None:
    try:
        rt.signal_handler(signal.SIGUSR1, None)
    except TypeError:
        return
    raise AssertionError("no TypeError")


def case_signal_handler_does_not_keep_the_loop_alive(rt: Any) -> None:
    one = rt.signal_handler(signal.SIGUSR1, print)
    try:
        assert one.ref is False
        try:
            rt.event.Event().wait()
        except rt.hub.LoopExit:
            return
        raise AssertionError("no LoopExit")
    finally:
        one.cancel()


def case_nb_read_waits(rt: Any) -> None:
    ours = module(rt, "os")
    reader, writer = os.pipe()
    try:
        assert ours.make_nonblocking(reader)
        assert not ours.make_nonblocking(reader)
        reading = rt.spawn(ours.nb_read, reader, 10)
        rt.sleep(0)
        assert not reading.ready()
        assert ours.tp_write(writer, b"bytes") == 5
        assert reading.get(timeout=2) == b"bytes"
    finally:
        os.close(reader)
        os.close(writer)


def case_loop_timer_repeats(rt: Any) -> None:
    calls: list[int] = []
    timer = rt.get_hub().loop.timer(0.001, 0.002)
    done = rt.event.Event()

    def tick(number: int) -> None:
        calls.append(number)
        if len(calls) == 3:
            timer.stop()
            done.set()

    timer.start(tick, 5)
    assert done.wait(2)
    rt.sleep(0.01)
    timer.close()
    assert calls == [5, 5, 5]


def case_loop_timer_keeps_the_loop_alive_but_without_ref(rt: Any) -> None:
    timer = rt.get_hub().loop.timer(10, ref=False)
    timer.start(print)
    try:
        rt.event.Event().wait()
    except rt.hub.LoopExit:
        return
    finally:
        timer.stop()
        timer.close()
    raise AssertionError("no LoopExit")


def case_exception_stream_takes_the_errors(rt: Any) -> None:
    hub = rt.get_hub()
    before, hub.exception_stream = hub.exception_stream, io.StringIO()
    try:
        rt.spawn(lambda: 1 / 0).join()
        assert "ZeroDivisionError" in hub.exception_stream.getvalue()
        hub.exception_stream = None
        rt.spawn(lambda: 1 / 0).join()
    finally:
        hub.exception_stream = before


def case_wrap_errors_returns_them(rt: Any) -> None:
    wrap_errors = module(rt, "util").wrap_errors
    wrapped = wrap_errors(ValueError, int)
    assert wrapped("7") == 7
    assert isinstance(rt.spawn(wrapped, "x").get(), ValueError)
    assert (str(wrapped), repr(wrapped)) == (str(int), repr(int))


def case_joinall_stands_in_greenlet_too(rt: Any) -> None:
    greenlet = module(rt, "greenlet")
    assert greenlet.joinall is rt.joinall
    assert greenlet.killall is rt.killall


def case_reinit_is_harmless(rt: Any) -> None:
    waiting = rt.spawn(rt.sleep, 0.001)
    rt.sleep(0)
    rt.reinit()
    waiting.get(timeout=2)
