// What tests of the SDK run: columns and answers are what the config says, in JavaScript.

import * as millrace from "./millrace/index.js";

const said = (text) => new Function(...Object.keys(millrace), `return ${text}`)(...Object.values(millrace));

export const transform = millrace.plugin({
  name: "test-guest-js",
  version: "0.1.0",
  // whatever the test says
  configSchema: {},
  open(config) {
    const { wrong, ...opened } = Object.fromEntries(Object.entries(config).map(([what, text]) => [what, said(text)]));
    if (wrong) throw wrong;
    return { reads: [millrace.int64("n")], ...opened };
  },
});
