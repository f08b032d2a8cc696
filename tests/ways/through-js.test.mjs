// The example of a wasm-bindgen program; tests/wasm-pack tests the face itself.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { root, run } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";
import { bound } from "./support.mjs";

watchdog(300);

test("through_js_example_answers_requests_in_two_instances", async () => {
  const program = await bound("examples/through-js", "route_requests");
  const host = join(root, "examples", "through-js", "host.mjs");
  const { code, output, errors } = await run("the example", [process.execPath, host, program], { limitMinutes: 2 });
  assert.equal(code, 0, errors);
  assert.deepEqual(output.trim().split("\n"), [
    "900 requests, taken by 2 instances",
    "   400  Hallo",
    "   200  Hello",
    "   300  refused",
    "request 301: Hello",
  ]);
  cases("through_js_example_answers_requests_in_two_instances", 900);
});
