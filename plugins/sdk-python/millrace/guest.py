"""A plugin, and what the host calls of it."""

import json
import traceback

from componentize_py_types import Err
from wit_world.imports import host, types

from . import columns
from .absent import begin, whole
from .columns import shown as _shown

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
        self.message, self.path = str(message), str(path or "")


class _NoRow:
    def __repr__(self):
        return "NO_ROW"


# An answer of `row`: the row is left out, and nothing is wrong with it.
NO_ROW = _NoRow()


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
    # a JSON Schema of the config, as a dict or as text; empty: it takes none
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
        """The values that it adds, as a tuple; None or NO_ROW: the row is left out; a list of tuples: a row for each.

        A plugin that adds one column may return the value itself, unless a value may be None or a list: where that
        column is nullable() a None, and where it is a list() a list that is not of tuples, is an error. There,
        `return (value,)` adds a value and `return NO_ROW` leaves the row out.
        """
        raise NotImplementedError("a plugin has row or columns")

    def columns(self, rows, *values):
        """All rows of a call at once: a list for each column that is read. It returns an `Answer`."""
        row, adds = self.row, self.adds
        # of the one column that a plain value may be for
        plainly = columns.type_of(adds[0]) if len(adds) == 1 else None
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
            elif answer.__class__ is plainly:
                answered.append((answer,))
                lineage.append(index)
            else:
                several = _rows_of(answer, adds)
                plain = plain and len(several) == 1
                answered.extend(several)
                lineage.extend([index] * len(several))
        if answered and {*map(len, answered)} != {len(adds)}:
            wrong = next(values for values in answered if len(values) != len(adds))
            raise TypeError(f"row returned {_shown(wrong)}: expected a value for each of {len(adds)} columns")
        added = [*map(list, zip(*answered))] if answered else [[] for _ in adds]
        return Answer(added, refused, None if plain else lineage)


def _rows_of(answer, adds):
    """The rows, as tuples, of an answer that is none itself."""
    if isinstance(answer, tuple):
        return [tuple(answer)]
    if answer is NO_ROW:
        return []
    one = adds[0] if len(adds) == 1 else None
    if answer is None:
        if one and one.is_nullable:
            raise TypeError(_ambiguous("None", one, "nullable()", "(None,)", "is absent"))
        return []
    if isinstance(answer, list):
        of_tuples = all(isinstance(other, tuple) for other in answer)
        if one and one.is_list and not (answer and of_tuples):
            raise TypeError(_ambiguous(_shown(answer), one, "a list()", "([…],)", "is a list"))
        if one and one.is_nullable and None in answer:
            raise TypeError(_ambiguous(_shown(answer), one, "nullable()", "[(None,)]", "is absent"))
        if one or of_tuples:
            return [tuple(other) if isinstance(other, tuple) else (other,) for other in answer]
    elif one:
        return [(answer,)]
    raise TypeError(f"row returned {_shown(answer)}: expected a tuple of {len(adds)} values, None or a list of tuples")


def _ambiguous(answer, field, what, instead, how):
    return (
        f"row returned {answer}, and `{field.name}` is {what}: `return {instead}` adds a value that {how}, "
        "`return NO_ROW` leaves the row out"
    )


def log(level, message):
    """A line in the host's log: debug, info, warn or error. Lines beyond ten a second are left out, and counted."""
    if level not in _LEVELS:
        raise ValueError(f"a line's level is one of {', '.join(_LEVELS)}, not {_shown(level)}")
    host.log(_LEVELS[level], whole(str(message)))


def count(name, by=1):
    """Adds to a counter of the host's metrics."""
    if not isinstance(by, int) or not 0 <= by < 2**64:
        raise ValueError(f"a counter grows by a whole number from 0 to below 2**64, not by {_shown(by)}")
    host.count(whole(str(name)), by)


def export(plugin):
    """What the component exports: `Transform = export(Orders)` at the end of main.py."""
    opened = []

    class Transform:
        def describe(self):
            try:
                return _manifest(plugin)
            except Exception as error:
                # it cannot answer with an error, and the host tells this line with the trap
                log("error", _said(error))
                raise

        def open(self, config):
            begin()
            try:
                opened[:] = [plugin(json.loads(config))]
            except ConfigError as error:
                raise _refused(error.message, error.path) from None
            except Exception as error:
                raise _refused(f"its own code fails with it, and raises no ConfigError: {_said(error)}") from None
            try:
                return _signature(opened[0])
            except Exception as error:
                raise _refused(f"the plugin is wrong, whatever its config is: {_said(error)}") from None

        def process(self, rows, input):
            try:
                return _process(opened[0], rows, input)
            except Exception as error:
                raise Err(_said(error)) from None

    return Transform


def _refused(message, path=""):
    return Err([types.ConfigError(whole(path), whole(message))])


def _texts_of(plugin, *names):
    for name in names:
        if not isinstance(getattr(plugin, name), str):
            raise TypeError(f"{name} is {_shown(getattr(plugin, name))}, and not a str")
        yield getattr(plugin, name)


def _manifest(plugin):
    schema = plugin.config_schema
    schema = schema if isinstance(schema, str) else json.dumps(schema) if schema else ""
    return types.Manifest(*_texts_of(plugin, "name", "version"), schema)


def _signature(plugin):
    reads, adds = (_fields(plugin, what) for what in ("reads", "adds"))
    return types.Signature(reads, adds, _each("drops", plugin.drops, str, '["note"]'), True)


def _fields(plugin, what):
    given = getattr(plugin, what)
    fields = _each(what, given, columns.Field, '[text("note")]')
    if not isinstance(given, (list, tuple)):
        # a generator gives them once, and each call asks for them
        setattr(plugin, what, fields)
    return [field.wit() for field in fields]


def _each(what, given, wanted, example):
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{what} is {_shown(given)}: expected a list, as in {example}")
    given = [*given]
    for one in given:
        if not isinstance(one, wanted):
            raise TypeError(f"{what} holds {_shown(one)}: expected a list as in {example}")
    return given


def _process(plugin, rows, input):
    answer = plugin.columns(rows, *[columns.read(column, rows) for column in input])
    if not hasattr(answer, "columns"):
        raise TypeError(f"columns returned {_shown(answer)}: expected an Answer")
    if len(answer.columns) != len(plugin.adds):
        raise ValueError(f"{len(answer.columns)} columns were returned, and adds has {len(plugin.adds)}")
    count = rows - len(answer.refused) if answer.lineage is None else len(answer.lineage)
    # first: rows that are refused wrongly make every column too long or too short
    refused = [_refusal(rows, *refusal) for refusal in answer.refused]
    written = [columns.write(field, values, count) for field, values in zip(plugin.adds, answer.columns)]
    return types.Output(columns.lineage(answer.lineage), written, refused)


def _refusal(rows, row, code, reason):
    if not (isinstance(row, int) and isinstance(code, str) and isinstance(reason, str)):
        raise TypeError(f"row {row!r} is refused with {_shown(code)} and {_shown(reason)}: a code and a reason are str")
    if not 0 <= row < rows:
        raise ValueError(f"row {row} of {rows} is refused")
    return types.Refusal(row, whole(code), whole(reason))


def _said(error):
    """The error, and where in the plugin's own source it was, if it was there."""
    # without looking into the source: there are no files here, and asking for one is a trap
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(file, line) for file, line in frames if "millrace" not in file]
    place = f"{own[-1][0].rsplit('/', 1)[-1]}:{own[-1][1]}: " if own else ""
    return whole(f"{place}{type(error).__name__}: {error}")
