"""What all tests share: signals as a terminal gives them, whoever started the run."""

import signal

#: a run that a shell put into the background ignores SIGINT, and so would each program that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
