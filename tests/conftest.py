"""What all tests share: signals as a terminal gives them, whoever started the run; no test is timed by Hypothesis."""

import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

#: pytest explains the assertions of test modules and conftests; those of the modules that help them, when it is told
pytest.register_assert_rewrite("tests.patience", "tests.app", "tests.runtime")

#: a run that a shell put into the background ignores SIGINT, and so would each program that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
