"""Group and Pool."""


def raises(kind, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def case_group_forgets_the_dead(rt):
    group = rt.pool.Group()
    task = group.spawn(rt.sleep, 0.001)
    assert (len(group), task in group, list(group)) == (1, True, [task])
    group.join()
    rt.sleep(0)
    assert (len(group), task in group) == (0, False)


def case_group_add_and_discard(rt):
    group = rt.pool.Group()
    task = rt.spawn(rt.sleep, 10)
    group.add(task)
    assert task in group
    group.discard(task)
    assert task not in group
    assert group.join(timeout=1)
    task.kill()


def case_group_join_gives_up_in_time(rt):
    group = rt.pool.Group()
    task = group.spawn(rt.sleep, 10)
    assert not group.join(timeout=0.001)
    task.kill()


def case_group_kill(rt):
    group = rt.pool.Group()
    tasks = [group.spawn(rt.sleep, 10) for _ in range(3)]
    rt.sleep(0)
    group.kill()
    assert all(task.dead for task in tasks)
    assert len(group) == 0


def case_group_killone(rt):
    group = rt.pool.Group()
    one, other = group.spawn(rt.sleep, 10), group.spawn(rt.sleep, 10)
    rt.sleep(0)
    group.killone(one)
    assert one.dead
    assert not other.dead
    assert one not in group
    group.kill()


def case_group_join_raises_the_error(rt):
    group = rt.pool.Group()
    group.spawn(int, "x")
    raises(ValueError, group.join, raise_error=True)


def case_group_apply_and_map(rt):
    group = rt.pool.Group()
    assert group.apply(lambda x, y: x + y, (1,), {"y": 2}) == 3
    assert group.map(lambda n: n * 2, range(5)) == [0, 2, 4, 6, 8]
    assert group.apply_async(lambda: 5).get() == 5
    assert group.map_async(lambda n: n * 2, range(3)).get() == [0, 2, 4]
    seen = []
    group.apply_async(lambda: 5, callback=seen.append).get()
    rt.sleep(0.005)
    assert seen == [5]


def case_group_map_raises_the_error(rt):
    raises(ZeroDivisionError, rt.pool.Group().map, lambda n: 1 // n, [1, 0, 2])


def case_group_imap_is_in_order(rt):
    group = rt.pool.Group()

    def work(n):
        rt.sleep(0.005 - n / 1000)
        return n

    assert list(group.imap(work, range(4))) == [0, 1, 2, 3]
    assert sorted(group.imap_unordered(work, range(4))) == [0, 1, 2, 3]
    assert next(iter(group.imap_unordered(work, [0, 4]))) == 4
    assert list(group.imap(lambda x, y: x * y, [1, 2], [3, 4])) == [3, 8]


def case_group_imap_raises_where_the_error_is(rt):
    found = rt.pool.Group().imap(lambda n: 1 // n, [1, 0, 1])
    assert next(found) == 1
    raises(ZeroDivisionError, next, found)


def case_pool_never_runs_more_than_its_size(rt):
    pool, running, most = rt.pool.Pool(3), [0], [0]

    def work(_):
        running[0] += 1
        most[0] = max(most[0], running[0])
        rt.sleep(0.001)
        running[0] -= 1

    pool.map(work, range(12))
    assert most == [3]


def case_pool_spawn_blocks_when_full(rt):
    pool = rt.pool.Pool(1)
    first = pool.spawn(rt.sleep, 0.002)
    assert (pool.full(), pool.free_count(), pool.size) == (True, 0, 1)
    second = pool.spawn(lambda: 5)
    assert first.dead
    assert second.get() == 5
    pool.join()
    assert pool.free_count() == 1


def case_pool_wait_available(rt):
    pool = rt.pool.Pool(1)
    pool.spawn(rt.sleep, 0.002)
    assert not pool.wait_available(timeout=0.0005)
    pool.wait_available()
    rt.sleep(0)
    assert pool.free_count() == 1


def case_pool_add_without_blocking_raises_full(rt):
    pool = rt.pool.Pool(1)
    task = pool.spawn(rt.sleep, 10)
    raises(rt.pool.PoolFull, pool.add, rt.Greenlet(rt.sleep), blocking=False)
    raises(rt.pool.PoolFull, pool.add, rt.Greenlet(rt.sleep), timeout=0.001)
    task.kill()


def case_pool_kill_frees_all_slots(rt):
    pool = rt.pool.Pool(3)
    for _ in range(3):
        pool.spawn(rt.sleep, 10)
    rt.sleep(0)
    pool.kill()
    assert pool.free_count() == 3
    assert pool.apply(lambda: 5) == 5


def case_pool_slots_come_back_after_failures(rt):
    pool = rt.pool.Pool(2)
    for _ in range(6):
        pool.spawn(int, "x")
    pool.join()
    assert pool.free_count() == 2


def case_pool_map_of_many(rt):
    assert rt.pool.Pool(10).map(lambda n: n + 1, range(1000)) == list(range(1, 1001))
    assert sorted(rt.pool.Pool(10).imap_unordered(lambda n: n, range(100))) == list(range(100))


def case_pool_refuses_a_bad_size(rt):
    raises(ValueError, rt.pool.Pool, 0) if not hasattr(rt, "hub") else None
    raises(ValueError, rt.pool.Pool, -1)
