// What plugins/flight-features is, in JavaScript: the same features, the same refusals.

import { date, float64, int64, plugin, text } from "./millrace/index.js";

const DELAY_MINUTES = [-1440, 2880];
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
    const [ofMonth, ofWeek, ofYear, routes, refused] = [[], [], [], [], []];
    for (let row = 0; row < rows; row += 1) {
      const [origin, dest, carrier] = [origins[row], dests[row], carriers[row]];
      const wrong = wrongWith(origin, dest, carrier, delays[row], distances[row]);
      if (wrong) {
        refused.push({ row, code: wrong[0], reason: wrong[1] });
        continue;
      }
      const day = known(days, dates[row], dayOf);
      ofMonth.push(day[0]);
      ofWeek.push(day[1]);
      ofYear.push(day[2]);
      routes.push(`${origin}-${dest}`);
    }
    return { columns: [ofMonth, ofWeek, ofYear, routes], refused };
  },
});

// what becomes of a row does not depend on these: they only save time
const [airports, airlines, days] = [new Map(), new Map(), new Map()];

function known(answers, of, answer) {
  let found = answers.get(of);
  if (found === undefined) {
    if (answers.size === KNOWN_MAX) answers.clear();
    answers.set(of, (found = answer(of)));
  }
  return found;
}

const isAirport = (code) => AIRPORT.test(code);
const isCarrier = (code) => CARRIER.test(code);

// Code and reason of what is wrong with a flight.
function wrongWith(origin, dest, carrier, delay, distance) {
  if (!known(airports, origin, isAirport)) return ["bad_origin", `origin ${shown(origin)} is not three capital letters`];
  if (!known(airports, dest, isAirport)) return ["bad_dest", `destination ${shown(dest)} is not three capital letters`];
  if (origin === dest) return ["same_airport", `origin and destination are both ${origin}`];
  if (!known(airlines, carrier, isCarrier)) {
    return ["bad_carrier", `carrier ${shown(carrier)} is not two capital letters or digits`];
  }
  const [least, most] = DELAY_MINUTES;
  if (delay !== null && !(delay >= least && delay <= most)) {
    return ["bad_delay", `departure delay ${number(delay)} is not between ${least} and ${most} minutes`];
  }
  if (!(distance > 0 && distance <= DISTANCE_MILES_MAX)) {
    return ["bad_distance", `distance ${number(distance)} is not between 0 and ${DISTANCE_MILES_MAX} miles`];
  }
  return undefined;
}

// A text as the other two write it, and short.
function shown(value) {
  const letters = [...value];
  const quoted = letters.slice(0, SHOWN_CHARS_MAX).join("").replace(/["\\]/g, "\\$&");
  return `"${quoted}"${letters.length > SHOWN_CHARS_MAX ? "…" : ""}`;
}

const number = (value) => (Number.isInteger(value) && Math.abs(value) < 1e16 ? value.toFixed(1) : String(value));

// Days since 1970-01-01 to the day of the month, of the week (1 is Monday) and of the year.
function dayOf(days) {
  const modulo = (value, by) => ((value % by) + by) % by;
  const ofEra = modulo(days + 719468, 146097);
  const div = (value, by) => Math.floor(value / by);
  const year = div(ofEra - div(ofEra, 1460) + div(ofEra, 36524) - div(ofEra, 146096), 365);
  const sinceMarch = ofEra - (365 * year + div(year, 4) - div(year, 100));
  const month = div(5 * sinceMarch + 2, 153);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year === 0);
  const ofYear = sinceMarch >= 306 ? sinceMarch - 306 + 1 : sinceMarch + 59 + (leap ? 1 : 0) + 1;
  return [sinceMarch - div(153 * month + 2, 5) + 1, modulo(days + 3, 7) + 1, ofYear];
}
