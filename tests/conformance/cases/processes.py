"""Child processes."""

import os
import signal
import sys


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def python(program):
    """Return the command for a program in Python."""
    return [sys.executable, "-S", "-c", program]


SLEEP = ["sleep", "30"]


def case_wait_lets_others_run(rt):
    child = rt.subprocess.Popen(["sleep", "0.05"])
    turns = []
    ticking = rt.spawn(lambda: [(turns.append(1), rt.sleep(0.005)) for _ in range(1000)])
    assert child.poll() is None
    assert child.wait() == 0
    assert child.returncode == 0
    assert len(turns) > 2
    ticking.kill()


def case_wait_times_out(rt):
    child = rt.subprocess.Popen(SLEEP)
    error = raises(rt.subprocess.TimeoutExpired, child.wait, timeout=0.01)
    assert (error.cmd, error.timeout) == (SLEEP, 0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL


def case_runtime_s_wait_takes_children(rt):
    child, other = rt.subprocess.Popen(["true"]), rt.subprocess.Popen(SLEEP)
    greenlet = rt.spawn(rt.sleep, 0)
    assert set(rt.wait([child, other, greenlet], count=2, timeout=5)) == {child, greenlet}
    other.terminate()
    assert rt.wait([other], timeout=5) == [other]
    assert other.returncode == -signal.SIGTERM


def case_communicate_moves_much_in_all_directions(rt):
    program = "import sys; d = sys.stdin.buffer.read(); sys.stderr.buffer.write(d); sys.stdout.buffer.write(d[::-1])"
    pipe = rt.subprocess.PIPE
    data = os.urandom(1 << 20)
    with rt.subprocess.Popen(python(program), stdin=pipe, stdout=pipe, stderr=pipe) as child:
        output, errors = child.communicate(data)
    assert output == data[::-1]
    assert errors == data


def case_communicate_times_out_and_goes_on(rt):
    program = "import time; print('early', flush=True); time.sleep(0.3); print('late')"
    child = rt.subprocess.Popen(python(program), stdout=rt.subprocess.PIPE, text=True)
    raises(rt.subprocess.TimeoutExpired, child.communicate, timeout=0.1)
    assert child.communicate(timeout=5) == ("early\nlate\n", None)


def case_text_mode(rt):
    pipe = rt.subprocess.PIPE
    child = rt.subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, universal_newlines=True)
    assert child.communicate("a\r\nb\n")[0] == "a\nb\n"
    done = rt.subprocess.run(["cat"], input="grün", capture_output=True, encoding="latin-1")
    assert (done.stdout, done.stderr, done.returncode) == ("grün", "", 0)


def case_pipes_are_read_by_greenlets(rt):
    child = rt.subprocess.Popen(["cat"], stdin=rt.subprocess.PIPE, stdout=rt.subprocess.PIPE)
    reading = rt.spawn(child.stdout.readline)
    rt.sleep(0.01)
    assert not reading.ready()
    child.stdin.write(b"line\nrest")
    child.stdin.flush()
    assert reading.get(timeout=5) == b"line\n"
    child.stdin.close()
    assert child.stdout.read() == b"rest"
    assert child.wait() == 0
    child.stdout.close()


def case_run_and_its_errors(rt):
    assert rt.subprocess.call(["false"]) == 1
    assert rt.subprocess.check_call(["true"]) == 0
    assert rt.subprocess.check_output(["echo", "out"]) == b"out\n"
    error = raises(
        rt.subprocess.CalledProcessError, rt.subprocess.check_output, python("print(1); raise SystemExit(3)")
    )
    assert (error.returncode, error.output) == (3, b"1\n")
    raises(rt.subprocess.CalledProcessError, rt.subprocess.run, ["false"], check=True)
    raises(FileNotFoundError, rt.subprocess.Popen, ["/no/such/program"])
    raises(ValueError, rt.subprocess.check_output, ["true"], stdout=1)
    assert rt.subprocess.getstatusoutput("echo a; exit 2") == (2, "a")


def case_run_kills_at_its_timeout(rt):
    error = raises(rt.subprocess.TimeoutExpired, rt.subprocess.run, SLEEP, timeout=0.02)
    assert (error.cmd, error.timeout) == (SLEEP, 0.02)


def case_timeout_around_a_child(rt):
    child = rt.subprocess.Popen(SLEEP)
    with rt.Timeout(0.01, False):
        child.wait()
        raise AssertionError("ended")
    child.kill()
    child.wait()


def case_many_children_at_once(rt):
    children = [rt.subprocess.Popen([*python(f"raise SystemExit({n})")]) for n in range(8)]
    assert [rt.spawn(child.wait).get(timeout=10) for child in children] == list(range(8))


def case_environment_folder_and_session(rt):
    child = rt.subprocess.run(
        python("import os; print(os.environ['A'], os.getcwd(), os.getsid(0) == os.getpid())"),
        env={"A": "1"},
        cwd="/",
        start_new_session=True,
        stdout=rt.subprocess.PIPE,
    )
    assert child.stdout == b"1 / True\n"
