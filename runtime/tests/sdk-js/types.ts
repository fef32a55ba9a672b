// What an editor knows of a plugin: a test has it checked by the TypeScript compiler.

import * as millrace from "../../../plugins/sdk-js/millrace/index.js";

const { boolean, configError, float64, int64, plugin, refuse, text, timestamp } = millrace;

const named = { name: "a", version: "1" };

plugin({
  ...named,
  reads: [
    text("a"),
    int64("b").nullable().bigint(),
    timestamp("c").asList(),
    text("d").nullable(),
    int64("e").bigint().nullable().asList(),
  ],
  adds: [float64("x"), text("y").nullable()],
  row({ a, b, c, d, e }) {
    const values: [string, bigint | null, number[], string | null, bigint[] | null] = [a, b, c, d, e];
    if (b === null) throw refuse("code", "reason");
    if (a === "x") return null;
    return a === "y" ? [{ x: values.length, y: null }] : { x: Number(b), y: d };
  },
});

// of columns that depend on the config nothing is known
plugin({
  ...named,
  configSchema: {},
  open(config) {
    if (!config.a) throw configError("is missing", "/a");
    return { reads: [text("a")], adds: [boolean("x")], row: ({ a }) => ({ x: a === config.a }) };
  },
});

plugin({ ...named, reads: [text("a")], adds: [text("x")], columns: (rows, a) => ({ columns: [a], refused: [] }) });

// @ts-expect-error: it reads no such column
plugin({ ...named, reads: [text("a")], adds: [int64("x")], row: ({ b }) => ({ x: 1 }) });
// @ts-expect-error: a text is no number
plugin({ ...named, reads: [text("a")], adds: [int64("x")], row: ({ a }) => ({ x: a }) });
// @ts-expect-error: it may be null
plugin({ ...named, reads: [text("a").nullable()], adds: [int64("x")], row: ({ a }) => ({ x: a.length }) });
// @ts-expect-error: it adds no such column
plugin({ ...named, reads: [text("a")], adds: [int64("x")], row: ({ a }) => ({ y: 1 }) });
