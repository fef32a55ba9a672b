"""Write a millrace plugin in Python: a class with a function for a row, or for columns where speed counts.

A plugin has no clock, no randomness, no files and no network, and keeps nothing that changes an answer: what becomes of
a row depends on the row and the config alone.

    from millrace import Plugin, Refuse, export, float64, int64, text

    class Billing(Plugin):
        name = "billing"
        version = "1.0.0"
        reads = [text("customer"), float64("price"), float64("discount").nullable()]
        adds = [float64("total"), text("greeting")]

        def row(self, customer, price, discount):
            total = price - (discount or 0.0)
            if total < 0.0:
                raise Refuse("bad_discount", f"{customer} would get money back")
            return total, f"Dear {customer}"

    Transform = export(Billing)

Values are what Python has for them: bool, int, float, str, bytes; a date is the number of days since 1970-01-01, a
timestamp that of microseconds; an absent value is None, a list a list.
"""

from .columns import binary, boolean, date, float64, int64, text, timestamp
from .guest import NO_ROW, Answer, ConfigError, Plugin, Refuse, count, export, log

__all__ = [
    "NO_ROW",
    "Answer",
    "ConfigError",
    "Plugin",
    "Refuse",
    "binary",
    "boolean",
    "count",
    "date",
    "export",
    "float64",
    "int64",
    "log",
    "text",
    "timestamp",
]
