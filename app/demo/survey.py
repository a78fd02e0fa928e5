"""The demo's program: survey a directory tree.

    walk -> [paths] -> sort -> Pool "hash and compress" (thread pool) -> [digests] -> collect -> index
                         |--> Pool "parse" (a subprocess each)                          ^
                         +--> a greenlet per odd file (some fail, and say why)          |
    Group "clients" -> TCP service -> look up ------------------------------------------+

One pass walks the whole tree and prints what it found; then it starts over, until it
is interrupted. Nothing is staged: the files are real, the failures are those of files
that cannot be read.
"""

import gzip
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Literal

from greenscope.app.demo.digest import DigestRecord, checksum, count_words, digest, unpack
from greenscope.app.demo.service import DigestService, ask_for_files
from greenscope.app.demo.tally import Tally
from greenscope.app.spawnables import spawnable
from greenscope.runtime import Greenlet, GreenletExit, get_hub, iwait, joinall, killall, sleep, spawn
from greenscope.runtime.lock import RLock
from greenscope.runtime.pool import Group, Pool
from greenscope.runtime.queue import Queue
from greenscope.runtime.subprocess import PIPE, Popen

#: the work that one subprocess does to one Python file
PARSE = (
    "import ast,sys; tree = ast.parse(open(sys.argv[1], 'rb').read()); "
    "print(sum(isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) for n in ast.walk(tree)))"
)
#: one Python file in so many goes to a subprocess
PARSED_OF = 40
#: files a second on average, so that the work can be watched; they come in bursts, a folder or so at a time
PACE = 150
BURST = (20, 200)


class Survey:
    """One tree under survey, pass after pass."""

    def __init__(self, root: str, workers: int = 8) -> None:
        self.root = root
        self.paths: Queue = Queue(200)
        self.digests: Queue = Queue(50)
        self.workers = Pool(workers)
        self.workers.name = "hash and compress"
        self.parsers = Pool(2)
        self.parsers.name = "parse"
        self.stages = Group()
        self.stages.name = "pipeline"
        self.clients = Group()
        self.clients.name = "clients"
        self.index: dict[str, DigestRecord] = {}
        self.index_lock = RLock()
        self.tally = Tally(root)
        self.service = DigestService(self.look_up)

    # -- the pipeline

    def walk(self) -> int:
        """Put every plain file of the tree into the first queue."""
        left = burst = random.randint(*BURST)
        for path in plain_files(self.root, self.tally.fail):
            self.paths.put(path)
            self.tally.files += 1
            left -= 1
            if not left:
                sleep(burst / PACE)
                left = burst = random.randint(*BURST)
        self.paths.put(None)
        return self.tally.files

    def sort(self) -> None:
        """Give each file to who knows what to do with it; ends with the queue's None."""
        while (path := self.paths.get()) is not None:
            kind = os.path.splitext(path)[1] or "without suffix"
            self.tally.kinds[kind] += 1
            self.workers.spawn(self.digest_file, path).link_exception(self.on_failure)
            if kind == ".py" and self.tally.kinds[kind] % PARSED_OF == 1:
                self.parsers.spawn(self.parse_file, path).link_exception(self.on_failure)
        self.workers.join()
        self.digests.put(None)

    def on_failure(self, ended: Greenlet) -> None:
        """Count a file that could not be worked on; its greenlet has reported why."""
        self.tally.fail(ended.exception)

    def digest_file(self, path: str) -> None:
        """Hash and compress one file in the thread pool."""
        self.digests.put(get_hub().threadpool.apply(digest, (path,)))

    def parse_file(self, path: str) -> int:
        """Count the functions of one Python file in a subprocess."""
        process = Popen([sys.executable, "-I", "-S", "-c", PARSE, path], stdout=PIPE, stderr=PIPE)
        out, err = process.communicate()
        if process.returncode:
            raise SyntaxError(err.decode(errors="replace").strip().splitlines()[-1].removeprefix("SyntaxError: "))
        self.tally.parsed += 1
        self.tally.functions += int(out)
        return int(out)

    def collect(self) -> None:
        """Enter the digests into the index; the lock is held for a moment, as for a write to disk."""
        batch: list[DigestRecord] = []
        while (record := self.digests.get()) is not None:
            batch.append(record)
            self.tally.add(record)
            if len(batch) >= 25 or self.digests.empty():
                with self.index_lock:
                    self.index.update((one.path, one) for one in batch)
                    sleep(0.002)
                batch.clear()

    def look_up(self, path: str) -> str | None:
        """Answer the service: checksum and size of a file that was surveyed."""
        with self.index_lock:
            record = self.index.get(path)
        return None if record is None else f"{record.sha256} {record.size}"

    def choose(self) -> str | None:
        """Return some path of the index (None while it is empty)."""
        return random.choice(list(self.index)) if self.index else None

    # -- one pass, and all of them

    def serve(self) -> list[Greenlet]:
        """Start the TCP service and its clients."""
        running = [spawn(self.service.accept_loop)]
        running[0].name = "service"
        for number in range(6):
            client = self.clients.spawn(ask_for_files, self.service.address, self.choose, 0.4)
            client.name = f"client {number + 1}"
        return running

    def read_odd_files(self, folder: str) -> list[Greenlet]:
        """Read files of the kind that every tree has some of; a greenlet each, and nobody catches."""
        tasks: list[Greenlet] = []
        for path, reader in make_odd_files(folder):
            task = Greenlet(get_hub().threadpool.apply, reader, (path,))
            task.name = f"read {os.path.basename(path)}"
            task.link_exception(lambda ended: self.tally.odd_failures.update([type(ended.exception).__name__]))
            task.start_later(random.uniform(0.5, 4))
            tasks.append(task)
        self.tally.odd = len(tasks)
        return tasks

    def run_pass(self) -> str:
        """Survey the whole tree once; returns what was found. Blocks."""
        begin = time.monotonic()
        self.tally = tally = Tally(self.root)
        self.paths, self.digests = Queue(200), Queue(50)
        asked = self.service.answered
        with tempfile.TemporaryDirectory(prefix="greenscope-demo-") as folder:
            odd = self.read_odd_files(folder)
            stages = [self.stages.spawn(stage) for stage in (self.walk, self.sort, self.collect)]
            for stage, name in zip(stages, ("walk", "sort", "collect"), strict=True):
                stage.name = name
            try:
                for ended in iwait(stages):
                    if not ended.successful() or isinstance(ended.value, GreenletExit):
                        tally.broken = ended.name
                        break  # the others would wait for it for ever
                else:
                    self.parsers.join()
                    joinall(odd)
            finally:
                killall([*self.stages, *odd, *self.workers, *self.parsers], block=False)
        tally.questions = self.service.answered - asked
        return tally.text(time.monotonic() - begin)


def survey_forever(root: str, passes: int = 0) -> int:
    """Run `passes` passes over a tree (0: until interrupted), printing what each found. Blocks."""
    offer_spawnables(root)
    survey = Survey(root)
    running = survey.serve()
    done = 0
    try:
        while not passes or done < passes:
            print(survey.run_pass(), flush=True)
            done += 1
            if passes != done:
                sleep(3)
    finally:
        killall([*running, *survey.clients, *survey.service.connections], block=False)
        survey.service.close()
    return 0


def offer_spawnables(root: str) -> None:
    """Register what the spawn button of the demo offers."""

    @spawnable(name="checksum")
    def checksum_file(path: str = os.__file__, algorithm: Literal["sha256", "blake2b", "md5"] = "sha256") -> str:
        """Checksum one whole file in the thread pool."""
        return str(get_hub().threadpool.apply(checksum, (path, algorithm)))

    @spawnable(name="survey")
    def survey_tree(path: str = root, workers: int = 4) -> str:
        """Survey another tree beside the first one, once."""
        survey = Survey(path, workers)
        try:
            return survey.run_pass()
        finally:
            survey.service.close()

    @spawnable(name="sleep")
    def sleep_for(seconds: float = 30.0) -> None:
        """Wait, so that there is something to kill."""
        sleep(seconds)


def plain_files(root: str, on_error: Callable[[OSError], object]) -> Iterator[str]:
    """Yield the paths of all plain files below a folder, in order; tells the error of each unreadable folder."""
    for folder, folders, names in os.walk(root, onerror=on_error):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", "test", "tests"))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def make_odd_files(folder: str) -> Iterator[tuple[str, object]]:
    """Make the files that a tree always has some of: (path, who reads it)."""
    gone = os.path.join(folder, "moved-away.txt")
    os.symlink(os.path.join(folder, "no-such-target"), gone)
    yield gone, count_words

    latin = os.path.join(folder, "latin-1.txt")
    with open(latin, "wb") as file:
        file.write("Käse, Öl und Brot\n".encode("latin-1"))
    yield latin, count_words

    cut = os.path.join(folder, "cut-off.gz")
    with open(cut, "wb") as file:
        file.write(gzip.compress(os.urandom(4096))[:-200])
    yield cut, unpack

    locked = os.path.join(folder, "locked.txt")
    with open(locked, "w") as file:
        file.write("nobody may read this\n")
    os.chmod(locked, 0)
    yield locked, count_words  # PermissionError, unless the reader is the superuser
