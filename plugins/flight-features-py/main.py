"""What plugins/flight-features is, in Python: the same features, the same refusals."""

from millrace import Answer, Plugin, date, export, float64, int64, text

DELAY_MINUTES = (-1440.0, 2880.0)
DISTANCE_MILES_MAX = 12500.0
# of a value in a reason
SHOWN_CHARS_MAX = 40
# words and days that were looked at before: a flight's are few, and asking again costs more
KNOWN_MAX = 4096

CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CAPITALS_AND_DIGITS = CAPITALS | frozenset("0123456789")


class FlightFeatures(Plugin):
    name = "flight-features-py"
    version = "0.1.0"
    reads = [
        text("Origin"),
        text("Dest"),
        date("FlightDate"),
        text("Carrier"),
        float64("DepDelay").nullable(),
        float64("Distance"),
    ]
    adds = [int64("DayOfMonth"), int64("DayOfWeek"), int64("DayOfYear"), text("Route")]

    def __init__(self, config):
        super().__init__(config)
        # what becomes of a row does not depend on these: they only save time
        self.good_flights, self.known_days = {}, {}

    def columns(self, rows, origins, dests, dates, carriers, delays, distances):
        routes, days, refused = [], [], []
        good, known = self.good_flights, self.known_days
        least, most = DELAY_MINUTES
        miles_max = DISTANCE_MILES_MAX
        add_route, add_day = routes.append, days.append
        row = 0
        for flight, day, delay, distance in zip(zip(origins, dests, carriers), dates, delays, distances):
            route = good.get(flight)
            if route is not None and (delay is None or least <= delay <= most) and 0.0 < distance <= miles_max:
                add_route(route)
                add_day(known.get(day) or self.day(day))
            elif wrong := self.wrong(*flight, delay, distance):
                refused.append((row, *wrong))
            else:
                add_route(self.route(flight))
                add_day(known.get(day) or self.day(day))
            row += 1
        of_month, of_week, of_year = map(list, zip(*days)) if days else ([], [], [])
        return Answer([of_month, of_week, of_year, routes], refused)

    def route(self, flight):
        """Of a flight whose codes are good."""
        if len(self.good_flights) == KNOWN_MAX:
            self.good_flights.clear()
        route = self.good_flights[flight] = f"{flight[0]}-{flight[1]}"
        return route

    def day(self, days):
        if len(self.known_days) == KNOWN_MAX:
            self.known_days.clear()
        day = self.known_days[days] = day_of(days)
        return day

    def wrong(self, origin, dest, carrier, delay, distance):
        """Code and reason of what is wrong with a flight, or None."""
        if not is_code(origin, 3, CAPITALS):
            return "bad_origin", f"origin {shown(origin)} is not three capital letters"
        if not is_code(dest, 3, CAPITALS):
            return "bad_dest", f"destination {shown(dest)} is not three capital letters"
        if origin == dest:
            return "same_airport", f"origin and destination are both {origin}"
        if not is_code(carrier, 2, CAPITALS_AND_DIGITS):
            return "bad_carrier", f"carrier {shown(carrier)} is not two capital letters or digits"
        least, most = DELAY_MINUTES
        if delay is not None and not least <= delay <= most:
            return "bad_delay", f"departure delay {number(delay)} is not between {least:.0f} and {most:.0f} minutes"
        if not 0.0 < distance <= DISTANCE_MILES_MAX:
            return "bad_distance", f"distance {number(distance)} is not between 0 and {DISTANCE_MILES_MAX:.0f} miles"
        return None


def is_code(code, length, letters):
    return len(code) == length and letters.issuperset(code)


def shown(value):
    """A text as the other two write it, and short."""
    quoted = value[:SHOWN_CHARS_MAX].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"' + ("…" if len(value) > SHOWN_CHARS_MAX else "")


def number(value):
    if value != value:
        return "NaN"
    return repr(value).replace("e+", "e").replace("e-0", "e-")


def day_of(days):
    """Days since 1970-01-01 to the day of the month, of the week (1 is Monday) and of the year."""
    era = days + 719_468
    of_era = era % 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    since_march = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * since_march + 2) // 153
    leap = year % 4 == 0 and (year % 100 != 0 or year == 0)
    of_year = since_march - 306 + 1 if since_march >= 306 else since_march + 59 + leap + 1
    return since_march - (153 * month + 2) // 5 + 1, (days + 3) % 7 + 1, of_year


Transform = export(FlightFeatures)
