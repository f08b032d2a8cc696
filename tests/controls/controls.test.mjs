// Each important test must be able to fail: with a seeded bug it goes red, and without one the same test build is green.
// controls.json: [{ control, name, file | crate and test, edits, mustRedden, why }], where control is the bug's number in
// the crates' `controls.rs`, file a test file for node:test, test one of a crate's ("lib": its unit tests), and edits what a bug of the glue
// changes in a copy of js-host/dist: [what stands there, what it becomes].

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { controlsModule } from "../../tools/build.mjs";
import { names, readCounts } from "../../tools/counters.mjs";
import { root, run } from "../../tools/process.mjs";

const limitMinutes = 5;
const controls = JSON.parse(readFileSync(new URL("controls.json", import.meta.url), "utf8"));

// A control whose command led back here would start processes without end.
assert.equal(process.env.COHEAP_CONTROL, undefined, "tests/controls runs within one of its own controls");

/** One test alone: what it leaves running when it fails must not keep the others waiting. */
function nodeCommand({ file, mustRedden }) {
  assert.ok(existsSync(join(root, file)), `${file} is missing`);
  const reporter = [`--test-reporter=${join(root, "tools", "reporter.mjs")}`, "--test-reporter-destination=stdout"];
  return {
    runner: "node",
    command: [
      process.execPath,
      "--test",
      "--test-force-exit",
      `--test-name-pattern=^${mustRedden}$`,
      ...reporter,
      file,
    ],
    env: { COHEAP_WASM: join(root, controlsModule) },
  };
}

/** One set of features for all, so that nothing is built twice; the models have a build of their own. */
function cargoCommand({ crate, test, mustRedden }) {
  const model = test === "loom" || test === "shuttle";
  const features = model ? "std,controls" : "std,controls,fault-points";
  const target = test === "lib" ? ["--lib"] : ["--test", test];
  const profile = model ? ["--profile", "models"] : [];
  const what = [...profile, "-p", crate, "--features", features, ...target, "--", "--exact", mustRedden];
  const env = { CARGO_TARGET_DIR: join(root, "target", model ? test : "controls") };
  if (model) Object.assign(env, { RUSTFLAGS: `--cfg ${test}`, LOOM_MAX_PREEMPTIONS: "2" });
  return { runner: "cargo", command: ["cargo", "test", ...what], env };
}

async function runWith(control, entry, cwd = root) {
  const { runner, command, env } = entry.file === undefined ? cargoCommand(entry) : nodeCommand(entry);
  const result = await run(`control ${control}`, command, {
    // A node:test inside of another one would report to it instead of to us.
    env: { ...env, COHEAP_CONTROL: String(control), NODE_TEST_CONTEXT: undefined },
    cwd,
    limitMinutes,
  });
  const ran = readCounts(runner, result.output).tests.filter((each) => names(entry.mustRedden, each.name));
  return { ...result, ran };
}

/** Runs in which a bug must be met: whether threads meet on a busy machine is chance, for some one in two. */
const TRIES = 20;
/** After more runs than this the test has to be green as often without the bug: what is red now and then by itself notices nothing. */
const FEW = 3;

/** Hands `use` a folder with the JavaScript tests and a glue that has this bug. */
async function withGlue(edits, use) {
  const folder = mkdtempSync(join(tmpdir(), "coheap-controls-"));
  try {
    for (const path of ["tests/js", "js-host/dist", "js-host/package.json"]) {
      cpSync(join(root, path), join(folder, path), { recursive: true });
    }
    for (const face of ["index.js", "worker.js"]) {
      const path = join(folder, "js-host", "dist", face);
      let text = readFileSync(path, "utf8");
      for (const [from, to] of edits) {
        assert.equal(text.split(from).length, 2, `${face} does not hold once: ${from}`);
        text = text.replace(from, () => to);
      }
      writeFileSync(path, text);
    }
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const [guard, entry] of new Map(
  controls.map((entry) => [`${entry.file ?? entry.test}: ${entry.mustRedden}`, entry]),
)) {
  test(`without a seeded bug: ${guard}`, async () => {
    const { code, ran, output, errors } = await runWith(0, entry);
    assert.ok(code === 0 && ran.length > 0 && ran.every((each) => each.passed), `not green:\n${output}\n${errors}`);
  });
}

for (const entry of controls) {
  const { control, name, edits, mustRedden, why } = entry;
  test(`${name} reddens: ${mustRedden}`, async (t) => {
    t.diagnostic(why);
    let [noticed, tries] = [false, 0];
    for (; tries < TRIES && !noticed; tries++) {
      const { ran, timedOut, output, errors } =
        edits === undefined
          ? await runWith(control, entry)
          : await withGlue(edits, (folder) => runWith(control, entry, folder));
      assert.ok(!timedOut, `"${mustRedden}" hung in place of failing: it needs a watchdog`);
      assert.ok(ran.length > 0, `"${mustRedden}" did not run:\n${output}\n${errors}`);
      noticed = ran.some((each) => !each.passed);
    }
    assert.ok(noticed, `"${mustRedden}" did not notice ${name} in ${TRIES} runs: ${why}`);
    t.diagnostic(`noticed in run ${tries}`);
    for (let run = 0; tries > FEW && run < tries; run++) {
      const { code, output, errors } = await runWith(0, entry);
      assert.equal(code, 0, `red without the bug, too:\n${output}\n${errors}`);
    }
  });
}

test("the test build is not the shipped one", () => {
  assert.ok(existsSync(join(root, controlsModule)), `${controlsModule} is missing: run npm run build -- --controls`);
  const shipped = readFileSync(join(root, "js-host", "dist", "heap.wasm"));
  assert.notDeepEqual(readFileSync(join(root, controlsModule)), shipped);
});
