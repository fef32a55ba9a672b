/** A column's name and type, and the type of its values in JavaScript. */
export interface Field<T = unknown> {
  readonly name: string;
  /** A value may be absent: null. */
  nullable(): Field<T | null>;
  /** Each value is an array. */
  asList(): Field<T[]>;
}

export interface WholeField<T = number> extends Field<T> {
  /** Whole numbers beyond 2^53 too, as BigInt. */
  bigint(): Field<bigint>;
}

export function boolean(name: string): Field<boolean>;
/** A value beyond 2^53 is an error: `.bigint()` takes them. */
export function int64(name: string): WholeField;
export function float64(name: string): Field<number>;
export function text(name: string): Field<string>;
export function binary(name: string): Field<Uint8Array>;
/** Days since 1970-01-01. */
export function date(name: string): Field<number>;
/** Microseconds since 1970-01-01T00:00:00Z. */
export function timestamp(name: string): WholeField;

/** Thrown for a row that goes no further: `code` is a short word for machines, `reason` a sentence for people. */
export function refuse(code: string, reason: string): Error;

/** Thrown for a config that is wrong; `path` is a JSON pointer into it, empty for the whole. */
export function configError(message: string, path?: string): Error;

/** A line in the host's log. Lines beyond ten a second are left out, and counted. */
export function log(level: "debug" | "info" | "warn" | "error", message: string): void;

/** Adds to a counter of the host's metrics. */
export function count(name: string, by?: number): void;

/** A value for each row; null where it is absent. */
export type Column = ArrayLike<any>;

/** The values that a row adds, by column. */
export type Row = Record<string, unknown>;

export interface Answer {
  /** A column for each that is added, in the order of `adds`. */
  columns: Column[];
  /** In the order of rows. */
  refused?: { row: number; code: string; reason: string }[];
  /** The row that each answered row comes from, never going back; without it one for each row that is not refused. */
  lineage?: ArrayLike<number>;
}

export interface Opened {
  /** The columns that it gets, in the order in which `columns` gets them. */
  reads: Field[];
  /** The columns that it adds. */
  adds: Field[];
  /** Names of columns that end here. */
  drops?: string[];
  /** The values that it adds; null: the row is left out; an array: a row for each. */
  row?(values: any): Row | Row[] | null;
  /** All rows of a call at once, where speed counts: a column for each that is read. */
  columns?(rows: number, ...columns: any[]): Answer;
}

export interface Plugin extends Partial<Opened> {
  name: string;
  version: string;
  /** A JSON Schema of the config; without it the plugin takes none. */
  configSchema?: object;
  /** What of the plugin depends on the config. */
  open?(config: any): Partial<Opened>;
}

/** What the component exports: `export const transform = plugin({ … })`. */
export function plugin(written: Plugin): object;
