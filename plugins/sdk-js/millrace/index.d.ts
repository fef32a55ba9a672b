declare const value: unique symbol;

/** A column's name and type, and the type of its values in JavaScript. */
export interface Field<T = unknown, N extends string = string> {
  readonly name: N;
  /** For types alone: it is not there when a plugin runs. */
  readonly [value]?: T;
  /** A value may be absent: null. */
  nullable(): Field<T | null, N>;
  /** Each value is an array. */
  asList(): Field<AsList<T>, N>;
}

export interface WholeField<T = number, N extends string = string> extends Field<T, N> {
  nullable(): WholeField<T | null, N>;
  asList(): WholeField<AsList<T>, N>;
  /** Whole numbers beyond 2^53 too, as BigInt. */
  bigint(): WholeField<AsBigInt<T>, N>;
}

/** Lists of values; what may be absent is the list. */
export type AsList<T> = null extends T ? Exclude<T, null>[] | null : T[];

/** The same with BigInt where there are numbers. */
export type AsBigInt<T> = T extends number ? bigint : T extends (infer Item)[] ? AsBigInt<Item>[] : T;

export function boolean<N extends string>(name: N): Field<boolean, N>;
/** A value beyond 2^53 is an error: `.bigint()` takes them. */
export function int64<N extends string>(name: N): WholeField<number, N>;
export function float64<N extends string>(name: N): Field<number, N>;
export function text<N extends string>(name: N): Field<string, N>;
export function binary<N extends string>(name: N): Field<Uint8Array, N>;
/** Days since 1970-01-01. */
export function date<N extends string>(name: N): Field<number, N>;
/** Microseconds since 1970-01-01T00:00:00Z. */
export function timestamp<N extends string>(name: N): WholeField<number, N>;

/** Thrown for a row that goes no further: `code` is a short word for machines, `reason` a sentence for people. */
export function refuse(code: string, reason: string): Error;

/** Thrown for a config that is wrong; `path` is a JSON pointer into it, empty for the whole. */
export function configError(message: string, path?: string): Error;

/** A line in the host's log. Lines beyond ten a second are left out, and counted. */
export function log(level: "debug" | "info" | "warn" | "error", message: string): void;

/** Adds to a counter of the host's metrics: a whole number, from 0 on. */
export function count(name: string, by?: number | bigint): void;

/** A value for each row; null where it is absent. */
export type Column = ArrayLike<any>;

/** Any column. */
export type AnyField = Field<any, string>;

/** What a row of these columns is, by column; anything, where they are known only once a config is. */
export type Row<F extends AnyField> = string extends F["name"]
  ? any
  : { [N in F["name"]]: Extract<F, { name: N }> extends Field<infer T, N> ? T : never };

export interface Answer {
  /** A column for each that is added, in the order of `adds`. */
  columns: Column[];
  /** In the order of rows. */
  refused?: { row: number; code: string; reason: string }[];
  /** The row that each answered row comes from, never going back; without it one for each row that is not refused. */
  lineage?: ArrayLike<number>;
}

export interface Opened<R extends AnyField = AnyField, A extends AnyField = AnyField> {
  /** The columns that it gets, in the order in which `columns` gets them. */
  reads: R[];
  /** The columns that it adds. */
  adds: A[];
  /** Names of columns that end here. */
  drops?: string[];
  /** The values that it adds; null: the row is left out; an array: a row for each. */
  row?(values: Row<R>): Row<A> | Row<A>[] | null;
  /** All rows of a call at once, where speed counts: a column for each that is read. */
  columns?(rows: number, ...columns: any[]): Answer;
}

export interface Plugin<R extends AnyField = AnyField, A extends AnyField = AnyField> extends Partial<Opened<R, A>> {
  name: string;
  version: string;
  /** A JSON Schema of the config; without it the plugin takes none. */
  configSchema?: object;
  /** What of the plugin depends on the config. */
  open?(config: any): Partial<Opened>;
}

/** What the component exports: `export const transform = plugin({ … })`. */
export function plugin<R extends AnyField, A extends AnyField>(written: Plugin<R, A>): object;
