"""Queue, LifoQueue, PriorityQueue, JoinableQueue, SimpleQueue, Channel."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_order_of_each_kind(rt):
    for kind, expected in (("Queue", [3, 1, 2]), ("LifoQueue", [2, 1, 3]), ("PriorityQueue", [1, 2, 3])):
        queue = getattr(rt.queue, kind)()
        for item in (3, 1, 2):
            queue.put(item)
        assert (len(queue), queue.qsize(), queue.empty()) == (3, 3, False), kind
        assert [queue.get() for _ in range(3)] == expected, kind


def case_put_blocks_when_full(rt):
    queue = rt.queue.Queue(1)
    queue.put(1)
    assert queue.full()
    raises(rt.queue.Full, queue.put, 2, timeout=0.001)
    raises(rt.queue.Full, queue.put_nowait, 2)
    raises(rt.queue.Full, queue.put, 2, block=False)
    task = rt.spawn(queue.put, 2)
    rt.sleep(0)
    assert not task.ready()
    assert [queue.get(), queue.get()] == [1, 2]
    task.join()


def case_get_blocks_when_empty(rt):
    queue = rt.queue.Queue()
    raises(rt.queue.Empty, queue.get, timeout=0.001)
    raises(rt.queue.Empty, queue.get_nowait)
    raises(rt.queue.Empty, queue.get, block=False)
    task = rt.spawn(queue.get)
    rt.sleep(0)
    queue.put(5)
    assert task.get() == 5


def case_getters_are_served_in_order(rt):
    queue, seen = rt.queue.Queue(), []
    tasks = [rt.spawn(lambda n=n: seen.append((n, queue.get()))) for n in range(4)]
    rt.sleep(0)
    for item in range(4):
        queue.put(item)
    rt.joinall(tasks)
    assert seen == [(n, n) for n in range(4)]


def case_peek_leaves_the_item(rt):
    queue = rt.queue.Queue()
    raises(rt.queue.Empty, queue.peek, timeout=0.001)
    queue.put(5)
    assert (queue.peek(), queue.peek_nowait(), queue.qsize()) == (5, 5, 1)


def case_items_argument(rt):
    assert list(rt.queue.Queue(items=[1, 2, 3]).queue) == [1, 2, 3]
    assert rt.queue.PriorityQueue(items=[3, 1, 2]).get() == 1


def case_iteration_ends_at_stop_iteration(rt):
    queue = rt.queue.Queue()
    for item in (1, 2, StopIteration):
        queue.put(item)
    assert list(queue) == [1, 2]


def case_killed_getter_loses_no_item(rt):
    queue = rt.queue.Queue()
    task = rt.spawn(queue.get)
    rt.sleep(0)
    queue.put(5)
    task.kill()
    assert queue.qsize() == 1 or task.value == 5


def case_killed_putter_leaves_nothing(rt):
    queue = rt.queue.Queue(1)
    queue.put(1)
    task = rt.spawn(queue.put, 2)
    rt.sleep(0)
    task.kill()
    assert queue.get() == 1
    rt.sleep(0.001)
    assert queue.empty()


def case_pipeline(rt):
    queue, got = rt.queue.Queue(3), []

    def consumer():
        while True:
            item = queue.get()
            if item is None:
                return
            got.append(item)

    task = rt.spawn(consumer)
    for item in range(50):
        queue.put(item)
    queue.put(None)
    task.join()
    assert got == list(range(50))


def case_joinable_queue(rt):
    queue, done = rt.queue.JoinableQueue(), []

    def worker():
        while True:
            item = queue.get()
            rt.sleep(0)
            done.append(item)
            queue.task_done()

    task = rt.spawn(worker)
    for item in range(3):
        queue.put(item)
    assert queue.unfinished_tasks == 3
    assert queue.join() is True
    assert done == [0, 1, 2]
    raises(ValueError, queue.task_done)
    queue.put(1)
    task.kill()
    assert queue.join(timeout=0.001) is False


def case_simple_queue(rt):
    queue = rt.queue.SimpleQueue()
    queue.put(1)
    queue.put_nowait(2)
    assert [queue.get(), queue.get_nowait()] == [1, 2]
    raises(rt.queue.Empty, queue.get, timeout=0.001)


def case_channel_is_a_rendezvous(rt):
    channel, seen = rt.queue.Channel(), []
    task = rt.spawn(lambda: (channel.put(1), seen.append("put")))
    rt.sleep(0)
    assert seen == []
    assert channel.get() == 1
    task.join()
    assert seen == ["put"]
    raises(rt.queue.Empty, channel.get, timeout=0.001)
    raises(rt.queue.Full, channel.put, 1, timeout=0.001)


def case_shutdown(rt):
    queue = rt.queue.Queue()
    queue.put(1)
    task = rt.spawn(lambda: [queue.get(), queue.get()])
    rt.sleep(0)
    queue.shutdown()
    raises(rt.queue.ShutDown, queue.put, 2)
    raises(rt.queue.ShutDown, task.get)


def case_locals_differ_between_greenlets(rt):
    local = rt.local.local()
    local.x = "main"

    def body(value):
        raises(AttributeError, getattr, local, "x")
        local.x = value
        rt.sleep(0)
        return local.x

    tasks = [rt.spawn(body, n) for n in range(3)]
    rt.joinall(tasks)
    assert [task.value for task in tasks] == [0, 1, 2]
    assert local.x == "main"
    del local.x
    raises(AttributeError, getattr, local, "x")


def case_local_subclass_initialises_in_each_greenlet(rt):
    class Own(rt.local.local):
        count = 0

        def __init__(self, value):
            self.value = value
            type(self).count += 1

    own = Own(5)
    assert [rt.spawn(lambda: own.value).get() for _ in range(2)] == [5, 5]
    assert Own.count == 3
    own.value = 6
    assert rt.spawn(lambda: own.value).get() == 5
    raises(TypeError, rt.local.local, 1)


def case_local_dict_is_freed_with_its_greenlet(rt):
    import gc
    import weakref

    class Thing:
        pass

    local, refs = rt.local.local(), []

    def body():
        local.thing = Thing()
        refs.append(weakref.ref(local.thing))

    task = rt.spawn(body)
    task.join()
    del task
    rt.sleep(0.001)
    gc.collect()
    assert refs[0]() is None
