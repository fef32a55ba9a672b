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
import { isField, readColumn, shown, writeColumn, writeLineage } from "./columns.js";

export { binary, boolean, date, float64, int64, text, timestamp } from "./columns.js";

class Refuse extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

// Thrown for a row that goes no further: `code` is a short word for machines, `reason` a sentence for people.
export function refuse(code, reason) {
  mustSayWhy("a row", code, reason);
  return new Refuse(code, reason);
}

function mustSayWhy(row, code, reason) {
  if (typeof code !== "string" || typeof reason !== "string") {
    throw new TypeError(`${row} is refused with ${shown(code)} and ${shown(reason)}: code and reason are strings`);
  }
}

class ConfigError extends Error {
  constructor(message, path) {
    super(message);
    this.path = path;
  }
}

// Thrown for a config that is wrong; `path` is a JSON pointer into it, empty for the whole.
export const configError = (message, path) => new ConfigError(message, String(path ?? ""));

const LEVELS = ["debug", "info", "warn", "error"];

// A line in the host's log. Lines beyond ten a second are left out, and counted.
export function log(level, message) {
  if (!LEVELS.includes(level)) throw new TypeError(`a line's level is one of ${LEVELS.join(", ")}, not ${shown(level)}`);
  hostLog(level, String(message));
}

// Adds to a counter of the host's metrics.
export function count(name, by = 1) {
  const isWhole = typeof by === "bigint" ? BigInt.asUintN(64, by) === by : Number.isSafeInteger(by) && by >= 0;
  if (!isWhole) {
    throw new RangeError(`a counter grows by a whole number from 0 to below 2^53, or 2^64 as BigInt, not by ${shown(by)}`);
  }
  hostCount(String(name), BigInt(by));
}

// What the component exports: `export const transform = plugin({ … })`.
export function plugin(written) {
  let opened;

  return {
    describe() {
      try {
        return manifest(written);
      } catch (error) {
        // it cannot answer with an error, and the host tells this line with the trap
        hostLog("error", said(error));
        throw error;
      }
    },

    open(config) {
      begin();
      try {
        opened = open(written, JSON.parse(config));
      } catch (error) {
        if (error instanceof ConfigError) throw [{ path: error.path, message: error.message }];
        throw [{ path: "", message: `its own code fails with it, and throws no configError: ${said(error)}` }];
      }
      try {
        return signature(opened);
      } catch (error) {
        throw [{ path: "", message: `the plugin is wrong, whatever its config is: ${said(error)}` }];
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

function manifest({ name, version, configSchema }) {
  if (typeof name !== "string" || typeof version !== "string") {
    throw new TypeError(`name is ${shown(name)} and version is ${shown(version)}: expected strings`);
  }
  return { name, version, configSchema: configSchema ? JSON.stringify(configSchema) : "" };
}

function open(written, config) {
  if (Object.keys(config).length > 0 && !written.configSchema) throw configError("this plugin takes no config");
  return { reads: [], adds: [], drops: [], ...written, ...written.open?.(config) };
}

// What is opened as the contract has it; from now on there are columns, and no row.
function signature(opened) {
  const { row, columns, drops } = opened;
  if (row != null && columns != null) throw new TypeError("it has row and columns: expected one of them");
  if (typeof (row ?? columns) !== "function") {
    throw new TypeError(`row is ${shown(row)} and columns is ${shown(columns)}: expected one of them, a function`);
  }
  if (!Array.isArray(drops) || drops.some((name) => typeof name !== "string")) {
    throw new TypeError(`drops is ${shown(drops)}: expected an array of names, as in ["note"]`);
  }
  const [reads, adds] = ["reads", "adds"].map((what) => fields(what, opened[what]));
  opened.columns ??= byRow(opened);
  return { reads, adds, drops, acceptsDict: true };
}

function fields(what, all) {
  if (!Array.isArray(all)) throw new TypeError(`${what} is ${shown(all)}: expected an array, as in [text("note")]`);
  const wrong = all.findIndex((one) => !isField(one));
  if (wrong >= 0) throw new TypeError(`${what} holds ${shown(all[wrong])}: expected columns, as in [text("note")]`);
  return all.map(({ name, kind, list, isNullable }) => ({ name, kind, list, nullable: isNullable }));
}

// A function for columns of one for a row.
function byRow({ reads, adds, row }) {
  const [names, added] = [reads.map((field) => field.name), adds.map((field) => field.name)];
  const known = new Set(added);
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
      if (typeof answer !== "object") {
        throw new TypeError(`row returned ${shown(answer)}: expected an object, null or an array of objects`);
      }
      const one = answer != null && !Array.isArray(answer);
      plain &&= one;
      for (const each of one ? [answer] : (answer ?? [])) {
        if (typeof each !== "object" || each === null) throw new TypeError(`row returned ${shown(each)} among its rows`);
        let lacks = false;
        for (let column = 0; column < added.length; column += 1) {
          const value = each[added[column]];
          lacks ||= value === undefined && !(added[column] in each);
          answers[column].push(value);
        }
        if (lacks) mayLack(each, known);
        lineage.push(index);
      }
    }
    return { columns: answers, refused, lineage: plain ? undefined : lineage };
  };
}

// A name that is misspelled is not taken for a value that is absent.
function mayLack(answer, known) {
  const other = Object.keys(answer).find((name) => !known.has(name));
  if (other !== undefined) {
    const names = [...known].join(", ");
    throw new TypeError(`row returned \`${other}\`, and no column of that name is added: those are ${names}`);
  }
}

function process({ reads, adds, columns }, rows, input) {
  const read = input.map((column, index) => readColumn(reads[index], column, rows));
  const answer = columns(rows, ...read);
  if (typeof answer?.then === "function") throw new TypeError("columns returned a Promise: a plugin answers at once");
  if (!answer?.columns) throw new TypeError(`columns returned ${shown(answer)}: expected { columns: […] }`);
  const { columns: answers, refused = [], lineage } = answer;
  // first: rows that are refused wrongly make every column too long or too short
  refused.forEach((each) => mustBeRefusal(each, rows));
  if (answers.length !== adds.length) {
    throw new TypeError(`${answers.length} columns were returned, and adds has ${adds.length}`);
  }
  const rowsOut = lineage ? lineage.length : rows - refused.length;
  return {
    lineage: lineage && writeLineage(lineage),
    columns: adds.map((field, index) => writeColumn(field, answers[index], rowsOut)),
    refused,
  };
}

function mustBeRefusal({ row, code, reason }, rows) {
  if (!Number.isInteger(row) || row < 0 || row >= rows) throw new RangeError(`row ${shown(row)} of ${rows} is refused`);
  mustSayWhy(`row ${row}`, code, reason);
}

// The error, and where in the plugin's own source it was, if it was there: a component has no other place to say it.
function said(error) {
  if (!(error instanceof Error)) return String(error);
  const isOwn = (line) => line && !line.includes("millrace/") && !line.includes("initializer.js");
  const place = error.stack?.split("\n").find(isOwn) ?? "";
  return `${error.name}: ${error.message}${place && ` (${place.replace(/^.*\//, "")})`}`;
}
