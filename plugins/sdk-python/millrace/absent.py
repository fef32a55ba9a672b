"""What Python has for programs and a plugin has not.

Asking for it is an error that says so. Without this, chance would be a state that each instance has for itself, and a
clock or a file a trap without a word. What is printed is a line of the host's log.
"""

import builtins
import random
import sys
import time

from wit_world.imports import host

_CLOCK = "a plugin has no clock: a message's time can be a column, by [source.metadata] of the pipeline"
_CHANCE = (
    "a plugin has no randomness: a row that is computed again must be the same row; random.Random(seed) always gives the same"
)
_FILES = "a plugin has no files: a lookup of the pipeline joins a table"
_LINE_CHARS_MAX = 1024


def _absent(why):
    def absent(*_args, **_named):
        raise RuntimeError(why)

    return absent


class _Lines:
    """What is printed, line by line."""

    def __init__(self, level):
        self.level, self.begun = level, ""

    def write(self, text):
        *lines, self.begun = (self.begun + text).split("\n")
        if len(self.begun) > _LINE_CHARS_MAX:
            lines, self.begun = [*lines, self.begun], ""
        for line in lines:
            if begin.has_begun:
                host.log(self.level, whole(line))
        return len(text)

    def flush(self):
        pass


def whole(text):
    """A text that can be handed over: half a character would be a trap without a word."""
    return text.encode(errors="replace").decode()


def begin():
    """No host is there while the component is built."""
    begin.has_begun = True


begin.has_begun = False


def _take_away():
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"):
        setattr(time, name, _absent(_CLOCK))
    # the functions that share one generator
    shared = random.random.__self__
    for name, function in [*vars(random).items()]:
        if getattr(function, "__self__", None) is shared:
            setattr(random, name, _absent(_CHANCE))
    builtins.open = _absent(_FILES)
    sys.stdout, sys.stderr = _Lines(host.Level.INFO), _Lines(host.Level.WARN)


_take_away()
