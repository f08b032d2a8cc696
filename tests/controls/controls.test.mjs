// Each important test must be able to fail: with its seeded bug switched on (COHEAP_CONTROL) it goes red, and without a
// switch the same test build is green. controls.json: [{ control, name, file or command, mustRedden, why }], where control
// is the bug's number in the crates' `controls.rs`, file a test file for node:test, command a cargo test.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { controlsModule } from "../../tools/build.mjs";
import { names, readCounts } from "../../tools/counters.mjs";
import { root, run } from "../../tools/process.mjs";

const limitMinutes = 5;
const controls = JSON.parse(readFileSync(new URL("controls.json", import.meta.url), "utf8"));

// A control whose command led back here would start processes without end.
assert.equal(process.env.COHEAP_CONTROL, undefined, "tests/controls runs within one of its own controls");

function commandOf({ file, command }) {
  if (file === undefined) return command;
  assert.ok(existsSync(join(root, file)), `${file} is missing`);
  return [
    process.execPath,
    "--test",
    "--test-reporter=./tools/reporter.mjs",
    "--test-reporter-destination=stdout",
    file,
  ];
}

/** The counts on the test build: heap.controls.wasm for JavaScript, the feature `controls` natively. */
async function runWith(control, entry) {
  const env = {
    COHEAP_CONTROL: String(control),
    COHEAP_WASM: join(root, controlsModule),
    CARGO_TARGET_DIR: join(root, "target", "controls"),
    // A node:test inside of another one would report to it instead of to us.
    NODE_TEST_CONTEXT: undefined,
  };
  const result = await run(`control ${control}`, commandOf(entry), { env, limitMinutes });
  return { ...result, counts: readCounts(entry.file === undefined ? "cargo" : "node", result.output) };
}

const commands = new Map(controls.map((entry) => [entry.file ?? entry.command.join(" "), entry]));
for (const [line, entry] of commands) {
  test(`without a seeded bug: ${line}`, async () => {
    const { code, counts, output, errors } = await runWith(0, entry);
    assert.ok(code === 0 && counts.failed === 0 && counts.passed > 0, `not green:\n${output}\n${errors}`);
  });
}

for (const entry of controls) {
  const { control, name, mustRedden, why } = entry;
  test(`${name} reddens: ${mustRedden}`, async (t) => {
    t.diagnostic(why);
    const { counts, timedOut, output } = await runWith(control, entry);
    assert.ok(!timedOut, `"${mustRedden}" hung in place of failing: it needs a watchdog`);
    const reddened = counts.tests.filter((each) => names(mustRedden, each.name));
    assert.ok(reddened.length > 0, `"${mustRedden}" did not run:\n${output}`);
    assert.ok(
      reddened.some((each) => !each.passed),
      `"${mustRedden}" did not notice ${name}: ${why}`,
    );
  });
}

test("the test build is not the shipped one", () => {
  assert.ok(existsSync(join(root, controlsModule)), `${controlsModule} is missing: run npm run build -- --controls`);
  const shipped = readFileSync(join(root, "js-host", "dist", "heap.wasm"));
  assert.notDeepEqual(readFileSync(join(root, controlsModule)), shipped);
});
