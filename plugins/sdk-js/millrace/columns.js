// Columns of the contract to arrays of values and back, and the fields that describe them.
//
// What is returned is checked here only as far as JavaScript would not notice: that nothing is absent where nothing may
// be, that whole numbers are whole, and that each column has the length of the others. The host checks the rest.

const decoder = new TextDecoder();
const encoder = new TextEncoder();

const field = (name, kind, list = false, isNullable = false, asBigInt = false) => ({
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
});

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

function wholes(values, name) {
  const made = new BigInt64Array(values.length);
  const words = new Int32Array(made.buffer);
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (typeof value === "number" && (value | 0) === value) {
      words[2 * index] = value;
      words[2 * index + 1] = value < 0 ? -1 : 0;
    } else if (typeof value === "bigint") {
      made[index] = value;
    } else if (Number.isSafeInteger(value)) {
      words[2 * index] = value;
      words[2 * index + 1] = Math.floor(value / TWO_TO_32);
    } else {
      throw new RangeError(`\`${name}\` is ${value}, which is no whole number`);
    }
  }
  return made;
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
    for (let index = 0; index < length; index += 1) values[index] = bytes.slice(offsets[index], offsets[index + 1]);
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

function pack(bits) {
  const bytes = new Uint8Array((bits.length + 7) >> 3);
  for (let index = 0; index < bits.length; index += 1) if (bits[index]) bytes[index >> 3] |= 1 << (index & 7);
  return bytes;
}

function varlen(values) {
  const offsets = new Uint32Array(values.length + 1);
  values.forEach((value, index) => (offsets[index + 1] = offsets[index] + value.length));
  const bytes = new Uint8Array(offsets[values.length]);
  values.forEach((value, index) => bytes.set(value, offsets[index]));
  return { offsets, bytes };
}

function varlenTexts(values) {
  const whole = values.join("");
  const bytes = encoder.encode(whole);
  if (bytes.length !== whole.length) return varlen(values.map((value) => encoder.encode(value)));
  const offsets = new Uint32Array(values.length + 1);
  for (let index = 0; index < values.length; index += 1) offsets[index + 1] = offsets[index] + values[index].length;
  return { offsets, bytes };
}

function write({ name, kind }, values) {
  switch (kind) {
    case "boolean":
      return { tag: "bits", val: pack(values) };
    case "int64":
      return { tag: "s64s", val: wholes(values, name) };
    case "float64":
      return { tag: "f64s", val: Float64Array.from(values) };
    case "text":
      return { tag: "texts", val: varlenTexts(values) };
    case "binary":
      return { tag: "binaries", val: varlen(values) };
    case "date":
      return { tag: "days", val: Int32Array.from(values) };
    default:
      return { tag: "micros-utc", val: wholes(values, name) };
  }
}

function isAnyAbsent(values) {
  for (let index = 0; index < values.length; index += 1) if (values[index] == null) return true;
  return false;
}

const ZEROS = { boolean: false, int64: 0, float64: 0, text: "", binary: new Uint8Array(0), date: 0, timestamp: 0 };

// A value for each row as a column.
export function writeColumn(of, values, rows) {
  const { name, kind, list, isNullable } = of;
  if (values.length !== rows) throw new RangeError(`\`${name}\` has ${values.length} values for ${rows} rows`);
  let validity;
  let there = values;
  if (isAnyAbsent(values)) {
    if (!isNullable) throw new TypeError(`\`${name}\` has a value that is absent, and is not nullable()`);
    validity = pack(Array.from(values, (value) => value != null));
    there = Array.from(values, (value) => value ?? (list ? [] : ZEROS[kind]));
  }
  if (!list) return { validity, data: { tag: "flat", val: write(of, there) } };
  const offsets = new Uint32Array(rows + 1);
  there.forEach((value, row) => (offsets[row + 1] = offsets[row] + value.length));
  const items = { offsets, validity: undefined, values: write(of, there.flat()) };
  return { validity, data: { tag: "nested", val: items } };
}
