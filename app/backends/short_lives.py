"""How many of the greenlets that come and go between two looks are told one by one; the others are only counted.

A burst must not make the observer the program's heaviest part, so no more are told than a person could follow. Up to
SHORT_RATE a second everything is told, as for a server under an everyday load; of a crowd, more than CROWD a
second, so few that what is told of it costs next to nothing: nobody follows those. The native probe counts for all hubs
together, gevent's for each, since that one's hooks decide, each in its own thread.
"""

#: short lives told a second, and at once
SHORT_RATE, SHORT_BURST = 250, 500
#: lives a second that make a crowd, and the part of SHORT_RATE that is told of one
CROWD, CROWD_SHARE = 1_000, 0.1
#: seconds over which they are counted, at least: a few at one moment are no crowd
_COUNTED_OVER = 0.25


def crowd_of(lives: float, seconds: float) -> float:
    """Return how many a second so many in some seconds are."""
    return lives / max(seconds, _COUNTED_OVER)


def short_lives(rate: float, crowd: float, seconds: float) -> float:
    """Return how many more may be told after some seconds, at `rate` a second, where `crowd` a second come."""
    return rate * seconds * (CROWD_SHARE if crowd > CROWD else 1.0)
