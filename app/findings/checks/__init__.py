"""The checks, worst first; each is one file."""

from greenscope.app.findings.case import Check
from greenscope.app.findings.checks.blocked import Blocked
from greenscope.app.findings.checks.deadlocks import Deadlocks
from greenscope.app.findings.checks.failures import Failures
from greenscope.app.findings.checks.held import Held
from greenscope.app.findings.checks.hogs import Hogs
from greenscope.app.findings.checks.kills import Kills
from greenscope.app.findings.checks.leaks import Leaks
from greenscope.app.findings.checks.observer import Observer
from greenscope.app.findings.checks.parked import LongParked
from greenscope.app.findings.checks.pools import DryPools

CHECKS: tuple[type[Check], ...] = (
    Deadlocks,
    Blocked,
    Held,
    Kills,
    DryPools,
    Failures,
    Leaks,
    Hogs,
    LongParked,
    Observer,
)
