// Columns of the contract to arrays of values and back, and the fields that describe them.
//
// What is returned is checked here, for JavaScript makes something of everything: that each value is of its column's
// type, that nothing is absent where nothing may be, and that each column has the length of the others. The host checks
// the rest.

// a text that begins with U+FEFF keeps it
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

function field(name, kind, list = false, isNullable = false, asBigInt = false) {
  if (typeof name !== "string") throw new TypeError(`a column's name is a string, not ${shown(name)}`);
  return {
    name,
    kind,
    list,
    isNullable,
    asBigInt,
    // a value may be absent: null
    nullable: () => field(name, kind, list, true, asBigInt),
    // each value is an array
    asList: () => field(name, kind, true, isNullable, asBigInt),
    // whole numbers beyond 2^53 too, as BigInt
    bigint: () => field(name, kind, list, isNullable, true),
  };
}

export const isField = (one) => typeof one?.name === "string" && Object.hasOwn(WRITERS, one.kind);

export const boolean = (name) => field(name, "boolean");
export const int64 = (name) => field(name, "int64");
export const float64 = (name) => field(name, "float64");
export const text = (name) => field(name, "text");
export const binary = (name) => field(name, "binary");
// Days since 1970-01-01.
export const date = (name) => field(name, "date");
// Microseconds since 1970-01-01T00:00:00Z.
export const timestamp = (name) => field(name, "timestamp");

const bit = (bits, index) => ((bits[index >> 3] >> (index & 7)) & 1) === 1;

// Loops are plain here, and nothing is made for a value: an engine without a compiler pays for every call.

const TWO_TO_32 = 4294967296;

// Numbers of whole ones, of which both halves are read: a BigInt for each costs more.
function numbers(wholes, name) {
  const words = new Int32Array(wholes.buffer, wholes.byteOffset, 2 * wholes.length);
  const values = new Array(wholes.length);
  for (let index = 0; index < values.length; index += 1) {
    const value = words[2 * index + 1] * TWO_TO_32 + (words[2 * index] >>> 0);
    if (!Number.isSafeInteger(value)) {
      throw new RangeError(`\`${name}\` is ${wholes[index]}, which a number does not hold: say .bigint() of the field`);
    }
    values[index] = value;
  }
  return values;
}

function texts(varlen) {
  const offsets = varlen.offsets;
  const bytes = varlen.bytes;
  const whole = decoder.decode(bytes);
  const values = new Array(offsets.length - 1);
  // all of it is ASCII: where a text begins among the bytes it begins among the characters
  const isAscii = whole.length === bytes.length;
  let start = 0;
  for (let index = 0; index < values.length; index += 1) {
    const end = offsets[index + 1];
    values[index] = isAscii ? whole.substring(start, end) : decoder.decode(bytes.subarray(start, end));
    start = end;
  }
  return values;
}

function scalars(of, { tag, val }, length) {
  if (tag === "texts") return texts(val);
  if (tag === "f64s" || tag === "days") return val;
  if (tag === "s64s" || tag === "micros-utc") return of.asBigInt ? Array.from(val) : numbers(val, of.name);
  const values = new Array(length);
  if (tag === "dict-texts") {
    const distinct = texts(val.values);
    for (let index = 0; index < length; index += 1) values[index] = distinct[val.keys[index]];
  } else if (tag === "bits") {
    for (let index = 0; index < length; index += 1) values[index] = bit(val, index);
  } else {
    const { offsets, bytes } = val;
    // what the host hands over is no Uint8Array that a plugin knows, but one of another realm
    for (let index = 0; index < length; index += 1) {
      values[index] = new Uint8Array(bytes.subarray(offsets[index], offsets[index + 1]));
    }
  }
  return values;
}

// A column as an array with a value for each row; null where it is absent.
export function readColumn(of, { validity, data }, rows) {
  const { tag, val } = data;
  let values;
  if (tag === "nested") {
    const { offsets } = val;
    const items = scalars(of, val.values, offsets[rows]);
    values = Array.from({ length: rows }, (_, row) => Array.from(items.slice(offsets[row], offsets[row + 1])));
  } else {
    values = scalars(of, val, rows);
  }
  if (!validity) return values;
  const there = new Array(rows);
  for (let row = 0; row < rows; row += 1) there[row] = bit(validity, row) ? values[row] : null;
  return there;
}

// Each of these writes the values that fit while it looks at them, and hands any other to `misfit`, with the error that
// it is: that throws, or notes that the value is absent, for which the zero that is there stands.

function writeBits(values, misfit) {
  const bytes = new Uint8Array((values.length + 7) >> 3);
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (value === true) bytes[index >> 3] |= 1 << (index & 7);
    else if (value !== false) misfit(index, value, "a boolean");
  }
  return { tag: "bits", val: bytes };
}

// What is wrong with a value that is no number is its type.
const outOf = (value) => (typeof value === "number" || typeof value === "bigint" ? RangeError : TypeError);

function wholes(values, misfit) {
  const made = new BigInt64Array(values.length);
  const words = new Int32Array(made.buffer);
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (typeof value === "number" && (value | 0) === value) {
      words[2 * index] = value;
      words[2 * index + 1] = value < 0 ? -1 : 0;
    } else if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) {
      made[index] = value;
    } else if (Number.isSafeInteger(value)) {
      words[2 * index] = value;
      words[2 * index + 1] = Math.floor(value / TWO_TO_32);
    } else {
      misfit(index, value, "a whole number of 64 bits, beyond 2^53 as BigInt", outOf(value));
    }
  }
  return made;
}

function writeFloats(values, misfit) {
  const made = new Float64Array(values.length);
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (typeof value === "number") made[index] = value;
    else misfit(index, value, "a number");
  }
  return { tag: "f64s", val: made };
}

function writeDays(values, misfit) {
  const made = new Int32Array(values.length);
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if ((value | 0) === value) made[index] = value;
    else misfit(index, value, "a whole number of days, of 32 bits", outOf(value));
  }
  return { tag: "days", val: made };
}

function writeTexts(values, misfit) {
  const offsets = new Uint32Array(values.length + 1);
  let end = 0;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (typeof value === "string") end += value.length;
    else misfit(index, value, "a string");
    offsets[index + 1] = end;
  }
  // what is absent joins as nothing
  const bytes = encoder.encode(values.join(""));
  // all of it is ASCII: where a text begins among the characters it begins among the bytes
  if (bytes.length === end) return { tag: "texts", val: { offsets, bytes } };
  return { tag: "texts", val: varlen(values.map((value, index) => utf8(value ?? "", index, misfit))) };
}

function utf8(value, index, misfit) {
  // half of a surrogate pair would become U+FFFD
  if (!value.isWellFormed()) misfit(index, value, "a string of whole characters", RangeError);
  return encoder.encode(value);
}

const NO_BYTES = new Uint8Array(0);

function writeBinaries(values, misfit) {
  const there = values.map((value, index) => {
    if (value instanceof Uint8Array) return value;
    misfit(index, value, "a Uint8Array");
    return NO_BYTES;
  });
  return { tag: "binaries", val: varlen(there) };
}

function varlen(values) {
  const offsets = new Uint32Array(values.length + 1);
  values.forEach((value, index) => (offsets[index + 1] = offsets[index] + value.length));
  const bytes = new Uint8Array(offsets[values.length]);
  values.forEach((value, index) => bytes.set(value, offsets[index]));
  return { offsets, bytes };
}

const WRITERS = {
  boolean: writeBits,
  int64: (values, misfit) => ({ tag: "s64s", val: wholes(values, misfit) }),
  float64: writeFloats,
  text: writeTexts,
  binary: writeBinaries,
  date: writeDays,
  timestamp: (values, misfit) => ({ tag: "micros-utc", val: wholes(values, misfit) }),
};

// A value in a sentence.
export function shown(value) {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : String(value).slice(0, 80);
}

// All rows but those.
function validityWithout(absent, rows) {
  const bytes = new Uint8Array((rows + 7) >> 3).fill(0xff);
  if (rows & 7) bytes[bytes.length - 1] = (1 << (rows & 7)) - 1;
  for (const row of absent) bytes[row >> 3] &= ~(1 << (row & 7));
  return bytes;
}

// A value for each row as a column.
export function writeColumn(of, values, rows) {
  const { name, kind, list, isNullable } = of;
  if (values.length !== rows) throw new RangeError(`\`${name}\` has ${values.length} values for ${rows} rows`);
  const absent = [];
  const misfit = (row, value, wanted, Wrong = TypeError) => {
    const place = `\`${name}\` of row ${row} of this call`;
    if (value != null) throw new Wrong(`${place} is ${shown(value)}, and not ${wanted}`);
    if (!isNullable) throw new TypeError(`${place} is absent (${value}), and is not nullable()`);
    absent.push(row);
  };
  const data = list ? writeLists(of, values, misfit) : { tag: "flat", val: WRITERS[kind](values, misfit) };
  return { validity: absent.length > 0 ? validityWithout(absent, rows) : undefined, data };
}

function writeLists(of, values, misfit) {
  const offsets = new Uint32Array(values.length + 1);
  const items = [];
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row];
    if (Array.isArray(value)) for (let item = 0; item < value.length; item += 1) items.push(value[item]);
    else misfit(row, value, "an array");
    offsets[row + 1] = items.length;
  }
  const misfitItem = (index, value, wanted, Wrong = TypeError) => {
    const row = offsets.findIndex((end) => end > index) - 1;
    throw new Wrong(`\`${of.name}\` of row ${row} of this call holds ${shown(value)}, and not ${wanted}`);
  };
  return { tag: "nested", val: { offsets, validity: undefined, values: WRITERS[of.kind](items, misfitItem) } };
}

// The row that each answered row comes from, as the contract has it.
export function writeLineage(rows) {
  const made = new Uint32Array(rows.length);
  for (let index = 0; index < made.length; index += 1) {
    const row = rows[index];
    if (row >>> 0 !== row) throw new TypeError(`the lineage has ${shown(row)}, which is no row`);
    made[index] = row;
  }
  return made;
}
