"""Columns of the contract to lists of values and back, and the fields that describe them.

What is returned is checked here only as far as Python would not notice: that nothing is absent where nothing may be,
and that each column has the length of the others. The host checks the rest.
"""

from itertools import accumulate

from wit_world.imports import types
from wit_world.imports.types import Kind

# the bits of every byte, the least significant first
_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]


class Field:
    """A column's name and type."""

    def __init__(self, name, kind, is_list=False, is_nullable=False):
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


def _pack(bits):
    """Bits as the contract has them; true is anything that Python holds to be true."""
    number = int("".join(["1" if bit else "0" for bit in bits])[::-1] or "0", 2)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def _varlen(values):
    whole = b"".join(values)
    return types.Varlen([0, *accumulate(map(len, values))], whole)


def _varlen_texts(values):
    whole = "".join(values)
    if whole.isascii():
        return types.Varlen([0, *accumulate(map(len, values))], whole.encode())
    return _varlen([value.encode() for value in values])


_WRITE = {
    Kind.BOOLEAN: (False, lambda values: types.Scalars_Bits(_pack(values))),
    Kind.INT64: (0, types.Scalars_S64s),
    Kind.FLOAT64: (0.0, types.Scalars_F64s),
    Kind.TEXT: ("", lambda values: types.Scalars_Texts(_varlen_texts(values))),
    Kind.BINARY: (b"", lambda values: types.Scalars_Binaries(_varlen(values))),
    Kind.DATE: (0, types.Scalars_Days),
    Kind.TIMESTAMP: (0, types.Scalars_MicrosUtc),
}


def write(field, values, rows):
    """A value for each row as a column."""
    values = values if isinstance(values, list) else [*values]
    if len(values) != rows:
        raise ValueError(f"`{field.name}` has {len(values)} values for {rows} rows")
    validity = None
    zero, make = _WRITE[field.kind]
    zero = [] if field.is_list else zero
    if None in values:
        if not field.is_nullable:
            raise ValueError(f"`{field.name}` has a None, and is not nullable()")
        validity = _pack([value is not None for value in values])
        values = [zero if value is None else value for value in values]
    if field.is_list:
        offsets = [0, *accumulate(map(len, values))]
        items = types.Items(offsets, None, make([item for value in values for item in value]))
        return types.Column(validity, types.Data_Nested(items))
    return types.Column(validity, types.Data_Flat(make(values)))
