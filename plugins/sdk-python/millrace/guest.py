"""A plugin, and what the host calls of it."""

import json
import traceback

from componentize_py_types import Err
from wit_world.imports import host, types

from . import columns

_LEVELS = {level.name.lower(): level for level in host.Level}


class Refuse(Exception):
    """Raised for a row that goes no further: `code` is a short word for machines, `reason` a sentence for people."""

    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class ConfigError(Exception):
    """Raised for a config that is wrong; `path` is a JSON pointer into it, empty for the whole."""

    def __init__(self, message, path=""):
        super().__init__(message)
        self.message, self.path = message, path


class Answer:
    """The answer of `columns`: a list for each column that is added, in the order of `adds`.

    `refused` has (row, code, reason) in the order of rows. `lineage` has the row that each answered row comes from,
    never going back; without it there is one for each row that is not refused.
    """

    def __init__(self, columns, refused=(), lineage=None):
        self.columns, self.refused, self.lineage = columns, refused, lineage


class Plugin:
    """A plugin is a class with `row` or `columns`."""

    name = ""
    version = "0.1.0"
    # a JSON Schema of the config; empty: it takes none
    config_schema = ""
    # the columns that it gets, in the order in which `row` and `columns` get them
    reads = []
    # the columns that it adds
    adds = []
    # names of columns that end here
    drops = []

    def __init__(self, config):
        """`config` is what the pipeline's `config` table says, as a dict."""
        if config and not self.config_schema:
            raise ConfigError("this plugin takes no config")

    def row(self, *values):
        """The values that it adds, as a tuple; None: the row is left out; a list of tuples: a row for each.

        A plugin that adds one column may return the value itself.
        """
        raise NotImplementedError("a plugin has row or columns")

    def columns(self, rows, *values):
        """All rows of a call at once: a list for each column that is read. It returns an `Answer`."""
        row, one = self.row, len(self.adds) == 1
        answered, refused, lineage = [], [], []
        each = zip(*values) if values else ((),) * rows
        plain = True
        for index, read in enumerate(each):
            try:
                answer = row(*read)
            except Refuse as refusal:
                refused.append((index, refusal.code, refusal.reason))
                continue
            if answer.__class__ is tuple:
                answered.append(answer)
                lineage.append(index)
            elif answer is None or answer.__class__ is list:
                plain = False
                several = answer or ()
                answered.extend(other if other.__class__ is tuple else (other,) for other in several)
                lineage.extend([index] * len(several))
            elif one:
                answered.append((answer,))
                lineage.append(index)
            else:
                raise TypeError(f"row returned {answer!r}: expected a tuple of {len(self.adds)} values, None or a list")
        added = [*map(list, zip(*answered, strict=True))] if answered else [[] for _ in self.adds]
        return Answer(added, refused, None if plain else lineage)


def log(level, message):
    """A line in the host's log: debug, info, warn or error. Lines beyond ten a second are left out, and counted."""
    host.log(_LEVELS[level], message)


def count(name, by=1):
    """Adds to a counter of the host's metrics."""
    host.count(name, by)


def export(plugin):
    """What the component exports: `Transform = export(MyPlugin)` at the end of main.py."""
    opened = []

    class Transform:
        def describe(self):
            return types.Manifest(plugin.name, plugin.version, plugin.config_schema)

        def open(self, config):
            try:
                opened[:] = [plugin(json.loads(config))]
            except ConfigError as error:
                raise Err([types.ConfigError(error.path, error.message)]) from None
            except Exception as error:
                raise Err([types.ConfigError("", _said(error))]) from None
            opened_now = opened[0]
            reads, adds = ([field.wit() for field in fields] for fields in (opened_now.reads, opened_now.adds))
            return types.Signature(reads, adds, [*opened_now.drops], True)

        def process(self, rows, input):
            try:
                return _process(opened[0], rows, input)
            except Exception as error:
                raise Err(_said(error)) from None

    return Transform


def _process(plugin, rows, input):
    answer = plugin.columns(rows, *[columns.read(column, rows) for column in input])
    if len(answer.columns) != len(plugin.adds):
        raise ValueError(f"{len(answer.columns)} columns were returned, and adds has {len(plugin.adds)}")
    count = rows - len(answer.refused) if answer.lineage is None else len(answer.lineage)
    written = [columns.write(field, values, count) for field, values in zip(plugin.adds, answer.columns)]
    refused = [types.Refusal(row, code, reason) for row, code, reason in answer.refused]
    return types.Output(answer.lineage, written, refused)


def _said(error):
    """The error, and where in the plugin's own source it was."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "millrace" not in frame.filename] or frames
    place = f"{own[-1].filename.rsplit('/', 1)[-1]}:{own[-1].lineno}: " if own else ""
    return f"{place}{type(error).__name__}: {error}"
