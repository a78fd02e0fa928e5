"""The names of all attributes that a Greenlet may get, known to Python from the first one on.

Python keeps the names of attributes per class, in a table that grows for the first few instances alone (PEP 412;
thirty of them up to 3.13). Whoever gets one that is not there has a dict of its own from then on, and is slower for
good: a program would pay more for being watched when it had spawned before. The table has room for 21 names, or for 42,
and so has each instance: what only those have that failed is not among these 20, and one is left for the program.
"""

__all__ = ["share_names"]

_NAMES = (
    "_run",
    "args",
    "hub",
    "spawning_greenlet",
    "_tree_locals",
    "_state",
    "_carrier",
    "value",
    "_links",
    "_greenscope_id",
    "_greenscope_born",
    "_greenscope_origin",
    "_greenscope_account",
    "_greenscope_ended",
    "_greenscope_groups",
    "kwargs",
    "_timer",
    "_spawned_links",
    "_name",
    "_locals",
)


def share_names(class_: type) -> None:
    """Make the very first instance, which has every attribute that one may ever get."""
    first: object = object.__new__(class_)
    for name in _NAMES:
        setattr(first, name, None)
