// What Rust and TypeScript agree on is generated from one place: errors.json and layout.json.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkTables, generate } from "../../tools/generate.mjs";
import { root } from "../../tools/process.mjs";

for (const [file, text] of generate()) {
  test(`${file} is what tools/generate.mjs writes`, () => {
    assert.equal(readFileSync(join(root, file), "utf8"), text, "run npm run generate");
  });
}

test("a text that forgets or invents a detail is refused", () => {
  const error = { code: "COHEAP_X", number: 1, text: "Do {this}.", details: ["this"] };
  checkTables({ errors: [error] });
  const wrong = [
    [{ ...error, text: "Do it." }],
    [{ ...error, text: "Do {this} and {that}." }],
    [{ ...error, number: 2 }],
    [{ ...error, code: "X" }],
    [error, { ...error, number: 2 }],
  ];
  for (const errors of wrong) assert.throws(() => checkTables({ errors }));
});
