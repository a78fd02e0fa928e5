"""gunicorn's hook: watch every worker of `gunicorn -k gevent`.

    gunicorn -k gevent -c python:greenscope.gunicorn app:app
    from greenscope.gunicorn import post_worker_init          # or so, in a config of your own

Each worker puts a socket into one folder; `greenscope serve FOLDER` shows them all, and so does one of the workers when
$GREENSCOPE_PORT names a port. gunicorn is not imported here.
"""

from typing import Any

from greenscope.app.socket_folder import uses_gevent, watch_process

__all__ = ["post_worker_init"]


def post_worker_init(worker: Any) -> None:
    """Watch this worker until it ends. The first worker tells in gunicorn's log where."""
    log = worker.log
    if not uses_gevent():
        log.warning("greenscope: not watched: this is no gevent worker; start gunicorn with -k gevent")
        return
    # a worker's age is its number since gunicorn started: one line in the log, not one per worker and restart
    watch_process(f"gunicorn {worker.cfg.proc_name}", log.info if worker.age == 1 else _tell_faults(log))


def _tell_faults(log: Any) -> Any:
    return lambda text: log.warning("%s", text) if "not watched" in text else None
