// Write a millrace plugin in JavaScript: an object with a function for a row, or for columns where speed counts.
//
// A plugin has no clock, no randomness, no files and no network, and keeps nothing that changes an answer: what becomes
// of a row depends on the row and the config alone.
//
//     import { float64, plugin, refuse, text } from "./millrace/index.js";
//
//     export const transform = plugin({
//       name: "billing",
//       version: "1.0.0",
//       reads: [text("customer"), float64("price"), float64("discount").nullable()],
//       adds: [float64("total"), text("greeting")],
//       row({ customer, price, discount }) {
//         const total = price - (discount ?? 0);
//         if (total < 0) throw refuse("bad_discount", `${customer} would get money back`);
//         return { total, greeting: `Dear ${customer}` };
//       },
//     });
//
// Values are what JavaScript has for them; types are in index.d.ts.

import { count as hostCount, log as hostLog } from "millrace:plugin/host@1.0.0";
import { begin } from "./absent.js";
import { readColumn, shown, writeColumn, writeLineage } from "./columns.js";

export { binary, boolean, date, float64, int64, text, timestamp } from "./columns.js";

class Refuse extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

// Thrown for a row that goes no further: `code` is a short word for machines, `reason` a sentence for people.
export const refuse = (code, reason) => new Refuse(code, reason);

class ConfigError extends Error {
  constructor(message, path) {
    super(message);
    this.path = path;
  }
}

// Thrown for a config that is wrong; `path` is a JSON pointer into it, empty for the whole.
export const configError = (message, path = "") => new ConfigError(message, path);

// A line in the host's log. Lines beyond ten a second are left out, and counted.
export const log = (level, message) => hostLog(level, message);

// Adds to a counter of the host's metrics.
export const count = (name, by = 1) => hostCount(name, BigInt(by));

// What the component exports: `export const transform = plugin({ … })`.
export function plugin(written) {
  let opened;

  return {
    describe: () => ({
      name: written.name,
      version: written.version,
      configSchema: written.configSchema ? JSON.stringify(written.configSchema) : "",
    }),

    open(config) {
      begin();
      try {
        opened = open(written, JSON.parse(config));
        const { reads, adds, drops } = opened;
        const field = ({ name, kind, list, isNullable }) => ({ name, kind, list, nullable: isNullable });
        const fields = (all) => all.map(field);
        return { reads: fields(reads), adds: fields(adds), drops, acceptsDict: true };
      } catch (error) {
        throw [{ path: error instanceof ConfigError ? error.path : "", message: said(error, ConfigError) }];
      }
    },

    process(rows, input) {
      try {
        return process(opened, rows, input);
      } catch (error) {
        throw said(error);
      }
    },
  };
}

function open(written, config) {
  if (Object.keys(config).length > 0 && !written.configSchema) throw configError("this plugin takes no config");
  const opened = { drops: [], ...written, ...written.open?.(config) };
  if (!opened.row === !opened.columns) throw new TypeError("a plugin has row or columns, and not both");
  if (opened.row) opened.columns = byRow(opened);
  return opened;
}

// A function for columns of one for a row.
function byRow({ reads, adds, row }) {
  const [names, added] = [reads.map((field) => field.name), adds.map((field) => field.name)];
  return (rows, ...columns) => {
    const answers = added.map(() => []);
    const [refused, lineage] = [[], []];
    let plain = true;
    for (let index = 0; index < rows; index += 1) {
      const values = {};
      for (let column = 0; column < names.length; column += 1) values[names[column]] = columns[column][index];
      let answer;
      try {
        answer = row(values);
      } catch (error) {
        if (!(error instanceof Refuse)) throw error;
        refused.push({ row: index, code: error.code, reason: error.message });
        continue;
      }
      if (typeof answer?.then === "function") throw new TypeError("row returned a Promise: a plugin answers at once");
      if (typeof answer !== "object" && answer !== undefined) {
        throw new TypeError(`row returned ${shown(answer)}: expected an object, null or an array of objects`);
      }
      const one = answer != null && !Array.isArray(answer);
      plain &&= one;
      for (const each of one ? [answer] : (answer ?? [])) {
        if (typeof each !== "object" || each === null) throw new TypeError(`row returned ${shown(each)} among its rows`);
        for (let column = 0; column < added.length; column += 1) answers[column].push(each[added[column]]);
        lineage.push(index);
      }
    }
    return { columns: answers, refused, lineage: plain ? undefined : lineage };
  };
}

function process({ reads, adds, columns }, rows, input) {
  const read = input.map((column, index) => readColumn(reads[index], column, rows));
  const answer = columns(rows, ...read);
  if (typeof answer?.then === "function") throw new TypeError("columns returned a Promise: a plugin answers at once");
  const { columns: answers, refused = [], lineage } = answer;
  if (answers.length !== adds.length) {
    throw new TypeError(`${answers.length} columns were returned, and adds has ${adds.length}`);
  }
  const rowsOut = lineage ? lineage.length : rows - refused.length;
  return {
    lineage: lineage && writeLineage(lineage),
    columns: adds.map((field, index) => writeColumn(field, answers[index], rowsOut)),
    refused: refused.map(refusal),
  };
}

function refusal({ row, code, reason }) {
  if (typeof row !== "number" || typeof code !== "string" || typeof reason !== "string") {
    throw new TypeError(`row ${row} is refused with ${shown(code)} and ${shown(reason)}: code and reason are strings`);
  }
  return { row, code, reason };
}

// The error, and where it was: a component has no other place to say it.
function said(error, plain) {
  if (!(error instanceof Error)) return String(error);
  if (plain && error instanceof plain) return error.message;
  const place = error.stack?.split("\n").find((line) => line && !line.includes("millrace/")) ?? "";
  return `${error.name}: ${error.message}${place && ` (${place.replace(/^.*\//, "")})`}`;
}
