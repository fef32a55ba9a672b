// What an engine has for programs and a plugin has not: it would answer by a clock that stands where the component was
// built, and by a state that each instance has for itself. Asking for it is an error that says so; what is printed is a
// line of the host's log.

import { log } from "millrace:plugin/host@1.0.0";

const CLOCK = "a plugin has no clock: a message's time can be a column, by [source.metadata] of the pipeline";
const CHANCE = "a plugin has no randomness: a row that is computed again must be the same row";
const NETWORK = "a plugin has no network: a lookup of the pipeline joins a table";

const absent = (why) => () => {
  throw new Error(why);
};

const set = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

const noClock = absent(CLOCK);
const Time = Date;
const Dates = new Proxy(Time, {
  apply: noClock,
  construct: (time, given, made) => (given.length > 0 ? Reflect.construct(time, given, made) : noClock()),
  get: (time, name) => (name === "now" ? noClock : Reflect.get(time, name)),
});
Time.prototype.constructor = Dates;
set("Date", Dates);
set("performance", { now: noClock });
for (const name of ["setTimeout", "setInterval", "setImmediate"]) set(name, noClock);

Math.random = absent(CHANCE);
set("crypto", { getRandomValues: Math.random, randomUUID: Math.random });

set("fetch", absent(NETWORK));

// No host is there while the component is built.
let runs = false;
export const begin = () => (runs = true);

const text = (value) => {
  if (typeof value !== "object" || value === null || value instanceof Error) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
};
const lines = (level) => (...values) => {
  if (runs) log(level, values.map(text).join(" "));
};
const [debug, info, warn, error] = ["debug", "info", "warn", "error"].map(lines);
set("console", { debug, trace: debug, log: info, info, warn, error });
