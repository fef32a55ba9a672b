"""Columns of the contract to lists of values and back, and the fields that describe them.

What is returned is checked here, for what does not fit would become a trap without words on its way to the host: that
each value is of its column's type, that nothing is absent where nothing may be, and that each column has the length of
the others. The host checks the rest.
"""

from itertools import accumulate
from struct import error as StructError
from struct import pack

from wit_world.imports import types
from wit_world.imports.types import Kind

# the bits of every byte, the least significant first
_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]


class Field:
    """A column's name and type."""

    def __init__(self, name, kind, is_list=False, is_nullable=False):
        if not isinstance(name, str):
            raise TypeError(f"a column's name is a str, not {shown(name)}")
        self.name, self.kind, self.is_list, self.is_nullable = name, kind, is_list, is_nullable

    def nullable(self):
        """A value may be absent: None."""
        return Field(self.name, self.kind, self.is_list, True)

    def list(self):
        """Each value is a list."""
        return Field(self.name, self.kind, True, self.is_nullable)

    def wit(self):
        return types.Field(self.name, self.kind, self.is_list, self.is_nullable)


def boolean(name):
    return Field(name, Kind.BOOLEAN)


def int64(name):
    return Field(name, Kind.INT64)


def float64(name):
    return Field(name, Kind.FLOAT64)


def text(name):
    return Field(name, Kind.TEXT)


def binary(name):
    return Field(name, Kind.BINARY)


def date(name):
    """Days since 1970-01-01."""
    return Field(name, Kind.DATE)


def timestamp(name):
    """Microseconds since 1970-01-01T00:00:00Z."""
    return Field(name, Kind.TIMESTAMP)


def _bits(data, count):
    bits = [bit for byte in data for bit in _BITS[byte]]
    del bits[count:]
    return bits


def _binaries(values):
    offsets, data = values.offsets, values.bytes
    return [data[start:end] for start, end in zip(offsets, offsets[1:])]


def _texts(values):
    offsets, data = values.offsets, values.bytes
    whole = data.decode()
    if len(whole) == len(data):
        # all of it is ASCII: where a text begins among the bytes it begins among the characters
        return [whole[start:end] for start, end in zip(offsets, offsets[1:])]
    return [data[start:end].decode() for start, end in zip(offsets, offsets[1:])]


def _scalars(scalars, count):
    """Its values, the absent ones among them."""
    if isinstance(scalars, types.Scalars_Texts):
        return _texts(scalars.value)
    if isinstance(scalars, types.Scalars_DictTexts):
        values = _texts(scalars.value.values)
        return [values[key] for key in scalars.value.keys]
    if isinstance(scalars, types.Scalars_Bits):
        return _bits(scalars.value, count)
    if isinstance(scalars, types.Scalars_Binaries):
        return _binaries(scalars.value)
    return scalars.value


def read(column, rows):
    """A column as a list with a value for each row; None where it is absent."""
    data = column.data.value
    if isinstance(column.data, types.Data_Nested):
        offsets = data.offsets
        items = _scalars(data.values, offsets[-1])
        values = [items[start:end] for start, end in zip(offsets, offsets[1:])]
    else:
        values = _scalars(data, rows)
    if column.validity is None:
        return values
    return [value if there else None for value, there in zip(values, _bits(column.validity, rows))]


# the digit of a byte that is false or true; of any other there is none
_DIGITS = b"01".ljust(256, b"?")


def _pack(bits):
    """Bits as the contract has them."""
    number = int(bytes(bits)[::-1].translate(_DIGITS) or b"0", 2)
    return number.to_bytes((len(bits) + 7) // 8, "little")


# Each of these fails on a value that is not of its kind: looking at each value by itself would cost as much again.


def _varlen(values):
    whole = b"".join(values)
    offsets = [0, *accumulate(map(len, values))]
    if offsets[-1] != len(whole):
        raise TypeError("these are not bytes")
    return types.Varlen(offsets, whole)


def _varlen_texts(values):
    whole = "".join(values)
    if whole.isascii():
        return types.Varlen([0, *accumulate(map(len, values))], whole.encode())
    return _varlen([value.encode() for value in values])


def _numbers(form, make):
    """Numbers that C has by this letter: packing them fails where one is of another type, or beyond it."""

    def write(values):
        pack(f"{len(values)}{form}", *values)
        return make(values)

    return write


class _Kind:
    """What values of a kind are in Python, what stands for an absent one, and how many are written."""

    def __init__(self, taken, make):
        self.taken, self.zero, self.make = taken, taken(), make


_KINDS = {
    Kind.BOOLEAN: _Kind(bool, lambda values: types.Scalars_Bits(_pack(values))),
    Kind.INT64: _Kind(int, _numbers("q", types.Scalars_S64s)),
    Kind.FLOAT64: _Kind(float, _numbers("d", types.Scalars_F64s)),
    Kind.TEXT: _Kind(str, lambda values: types.Scalars_Texts(_varlen_texts(values))),
    Kind.BINARY: _Kind(bytes, lambda values: types.Scalars_Binaries(_varlen(values))),
    Kind.DATE: _Kind(int, _numbers("i", types.Scalars_Days)),
    Kind.TIMESTAMP: _Kind(int, _numbers("q", types.Scalars_MicrosUtc)),
}

_LISTS = {list, tuple}
# what a value that does not fit is told by
_WRONG = (TypeError, ValueError, OverflowError, StructError)
_SHOWN_CHARS_MAX = 80


def type_of(field):
    """Of the values of a column, where one alone is not mistaken for several rows."""
    return None if field.is_list else _KINDS[field.kind].taken


def write(field, values, rows):
    """A value for each row as a column."""
    values = values if isinstance(values, list) else [*values]
    if len(values) != rows:
        raise ValueError(f"`{field.name}` has {len(values)} values for {rows} rows")
    there, validity = values, None
    kind = _KINDS[field.kind]
    if field.is_nullable and None in values:
        validity = _pack([value is not None for value in values])
        zero = () if field.is_list else kind.zero
        there = [zero if value is None else value for value in values]
    try:
        return types.Column(validity, _nested(kind, there) if field.is_list else types.Data_Flat(kind.make(there)))
    except _WRONG as error:
        raise _fault(field, kind, there) or error from None


def _nested(kind, values):
    if not {*map(type, values)} <= _LISTS:
        raise TypeError("these are not lists")
    items = kind.make([item for value in values for item in value])
    return types.Data_Nested(types.Items([0, *accumulate(map(len, values))], None, items))


def _fault(field, kind, values):
    """The error that names the first value that does not fit."""
    for row, value in enumerate(values):
        place = f"`{field.name}` of row {row} of this call"
        if field.is_list and type(value) not in _LISTS:
            return TypeError(f"{place} is {shown(value)}, and each of its values is a list")
        for item in value if field.is_list else [value]:
            try:
                kind.make([item])
            except _WRONG as error:
                within = "a list with " if field.is_list else ""
                return TypeError(f"{place} is {within}{shown(item)}, {_why(field, kind, item, error)}")
    return None


def _why(field, kind, value, error):
    name = field.kind.name.lower()
    if isinstance(value, kind.taken):
        return f"which does not fit into {name}: {error}"
    if value is None and not field.is_list:
        return "and is not nullable()"
    return f"and values of {name} are {kind.taken.__name__}, not {type(value).__name__}"


def shown(value):
    """A value in a sentence."""
    said = repr(value)
    return said if len(said) <= _SHOWN_CHARS_MAX else said[:_SHOWN_CHARS_MAX] + "…"


def lineage(rows):
    """The row that each answered row comes from, if that was said."""
    if rows is None:
        return None
    rows = rows if isinstance(rows, list) else [*rows]
    try:
        pack(f"{len(rows)}I", *rows)
    except StructError as error:
        raise TypeError(f"the lineage is no list of rows: {error}") from None
    return rows
