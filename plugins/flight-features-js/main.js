// What plugins/flight-features is, in JavaScript: the same features, the same refusals.

import { date, float64, int64, plugin, text } from "./millrace/index.js";

// minutes of delay: a day before the plan to two days after it
const LEAST = -1440;
const MOST = 2880;
const DISTANCE_MILES_MAX = 12500;
// of a value in a reason
const SHOWN_CHARS_MAX = 40;
// codes and days that were looked at before: a flight's are few, and asking again costs more
const KNOWN_MAX = 4096;

const AIRPORT = /^[A-Z]{3}$/;
const CARRIER = /^[A-Z0-9]{2}$/;

export const transform = plugin({
  name: "flight-features-js",
  version: "0.1.0",
  reads: [
    text("Origin"),
    text("Dest"),
    date("FlightDate"),
    text("Carrier"),
    float64("DepDelay").nullable(),
    float64("Distance"),
  ],
  adds: [int64("DayOfMonth"), int64("DayOfWeek"), int64("DayOfYear"), text("Route")],

  columns(rows, origins, dests, dates, carriers, delays, distances) {
    const answers = [[], [], [], []];
    const [ofMonth, ofWeek, ofYear, routes] = answers;
    const refused = [];
    for (let row = 0; row < rows; row += 1) {
      const origin = origins[row];
      const dest = dests[row];
      const delay = delays[row];
      const distance = distances[row];
      // what is wrong with a flight is looked for only where something is
      if (
        !(isGood(airports, origin, AIRPORT) && isGood(airports, dest, AIRPORT) && origin !== dest) ||
        !(isGood(airlines, carriers[row], CARRIER) && (delay === null || (delay >= LEAST && delay <= MOST))) ||
        !(distance > 0 && distance <= DISTANCE_MILES_MAX)
      ) {
        const [code, reason] = wrongWith(origin, dest, carriers[row], delay, distance);
        refused.push({ row, code, reason });
        continue;
      }
      const day = days.get(dates[row]) ?? dayOf(dates[row]);
      ofMonth.push(day.ofMonth);
      ofWeek.push(day.ofWeek);
      ofYear.push(day.ofYear);
      routes.push(`${origin}-${dest}`);
    }
    return { columns: answers, refused };
  },
});

// what becomes of a row does not depend on these: they only save time
const airports = new Map();
const airlines = new Map();
const days = new Map();

function keep(answers, of, answer) {
  if (answers.size === KNOWN_MAX) answers.clear();
  answers.set(of, answer);
  return answer;
}

function isGood(known, code, pattern) {
  return known.get(code) ?? keep(known, code, pattern.test(code));
}

// Code and reason of what is wrong with a flight.
function wrongWith(origin, dest, carrier, delay, distance) {
  if (!AIRPORT.test(origin)) return ["bad_origin", `origin ${shown(origin)} is not three capital letters`];
  if (!AIRPORT.test(dest)) return ["bad_dest", `destination ${shown(dest)} is not three capital letters`];
  if (origin === dest) return ["same_airport", `origin and destination are both ${origin}`];
  if (!CARRIER.test(carrier)) return ["bad_carrier", `carrier ${shown(carrier)} is not two capital letters or digits`];
  if (delay !== null && !(delay >= LEAST && delay <= MOST)) {
    return ["bad_delay", `departure delay ${number(delay)} is not between ${LEAST} and ${MOST} minutes`];
  }
  return ["bad_distance", `distance ${number(distance)} is not between 0 and ${DISTANCE_MILES_MAX} miles`];
}

// A text as the other two write it, and short.
function shown(value) {
  const letters = [...value];
  const quoted = letters.slice(0, SHOWN_CHARS_MAX).join("").replace(/["\\]/g, "\\$&");
  return `"${quoted}"${letters.length > SHOWN_CHARS_MAX ? "…" : ""}`;
}

// A number as the other two write it: with a point, and beyond some digits with an exponent.
function number(value) {
  const size = Math.abs(value);
  if (size >= 1e16 || (size > 0 && size < 1e-4)) return value.toExponential().replace("e+", "e");
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

// Days since 1970-01-01 to the day of the month, of the week (1 is Monday) and of the year.
function dayOf(date) {
  const modulo = (value, by) => ((value % by) + by) % by;
  const ofEra = modulo(date + 719468, 146097);
  const div = (value, by) => Math.floor(value / by);
  const year = div(ofEra - div(ofEra, 1460) + div(ofEra, 36524) - div(ofEra, 146096), 365);
  const sinceMarch = ofEra - (365 * year + div(year, 4) - div(year, 100));
  const month = div(5 * sinceMarch + 2, 153);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year === 0);
  const ofYear = sinceMarch >= 306 ? sinceMarch - 306 + 1 : sinceMarch + 59 + (leap ? 1 : 0) + 1;
  const ofMonth = sinceMarch - div(153 * month + 2, 5) + 1;
  return keep(days, date, { ofMonth, ofWeek: modulo(date + 3, 7) + 1, ofYear });
}
