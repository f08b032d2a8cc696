// `npm test`: every suite of tests/suites.json, then the rows of GUARANTEES.md. The last line is the sum of all runners.
//   npm test -- --only js,models    some suites only; GUARANTEES.md is not read then

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { readCounts } from "./counters.mjs";
import { checkGuarantees, readGuarantees } from "./guarantees.mjs";
import { giveUp, isCI, root, run, say } from "./process.mjs";
import { setupTest } from "./setup.mjs";
import { filesBelow } from "./stamp.mjs";

/**
 * @typedef {object} Suite
 * @property {string} name as GUARANTEES.md calls it
 * @property {string} lane suites of one lane run one after the other, lanes run beside each other
 * @property {"cargo" | "node"} runner whose lines are read
 * @property {string[]} [command] what to run; $NIGHTLY stands for the pinned nightly
 * @property {string} [folder] for "node", in place of a command: its *.test.mjs files
 * @property {Record<string, string>} [env] $ROOT stands for the repository's folder
 * @property {string | string[]} [needs] what of `setupTest().missing` it cannot run without
 * @property {number} minutes then the watchdog ends its process tree
 */

/** How much of a failed suite's output is shown; the rest is in its log. */
const SHOWN_LINES = 60;

/** @returns {Suite[]} */
function chosenSuites() {
  const { suites } = JSON.parse(readFileSync(join(root, "tests", "suites.json"), "utf8"));
  const only = process.argv.indexOf("--only");
  if (only === -1) return suites;
  const wanted = (process.argv[only + 1] ?? "").split(",");
  for (const name of wanted) {
    if (!suites.some((suite) => suite.name === name)) {
      giveUp(`There is no suite "${name}"; there are ${suites.map((suite) => suite.name).join(", ")}.`);
    }
  }
  return suites.filter((suite) => wanted.includes(suite.name));
}

function commandOf(suite, env) {
  if (suite.folder === undefined) {
    return suite.command.map((word) => word.replaceAll("$NIGHTLY", env.COHEAP_NIGHTLY));
  }
  const files = filesBelow(suite.folder).filter((file) => file.endsWith(".test.mjs"));
  // Without a file node:test would look for tests all over the repository.
  if (files.length === 0) return undefined;
  const reporter = ["--test-reporter=./tools/reporter.mjs", "--test-reporter-destination=stdout"];
  return [process.execPath, "--test", ...reporter, ...files];
}

function environmentOf(suite, env) {
  const own = Object.entries(suite.env ?? {}).map(([name, value]) => [name, value.replaceAll("$ROOT", root)]);
  return { ...env, ...Object.fromEntries(own) };
}

/** The suite's counts, with what its runner could not count (a crash, a time-out, no test at all) as one failure. */
async function runSuite(suite, env) {
  const command = commandOf(suite, env);
  const log = join(root, ".tools", "logs", `${suite.name}.log`);
  const result =
    command === undefined
      ? { code: 0, output: "", errors: "", timedOut: false, minutes: 0 }
      : await run(suite.name, command, { env: environmentOf(suite, env), log, limitMinutes: suite.minutes });
  const counts = readCounts(suite.runner, result.output);
  const troubles = [];
  if (result.timedOut) troubles.push(`ended by the watchdog after ${suite.minutes} minutes`);
  else if (result.code !== 0 && counts.failed === 0) troubles.push(`ended with code ${result.code}`);
  if (counts.passed + counts.failed === 0) troubles.push("ran 0 tests");
  if (troubles.length > 0) counts.failed += 1;

  const ignored = counts.ignored > 0 ? `, ${counts.ignored} ignored` : "";
  const minutes = `${result.minutes.toFixed(1)} min`;
  const trouble = troubles.length > 0 ? `: ${troubles.join(", ")}` : "";
  say(`${suite.name}: ${counts.passed} passed, ${counts.failed} failed${ignored}, ${minutes}${trouble}`);
  if (counts.failed > 0) showFailures(suite, counts, result);
  return { counts, minutes: result.minutes };
}

function showFailures(suite, counts, result) {
  for (const test of counts.tests.filter((test) => !test.passed && !test.skipped)) {
    say(`  FAILED ${suite.name}: ${test.name}`);
    if (test.error !== undefined) say(test.error.replaceAll(/^/gm, "    "));
  }
  const text = (suite.runner === "node" ? result.errors : `${result.errors}\n${result.output}`).trimEnd();
  if (text !== "") say(text.split("\n").slice(-SHOWN_LINES).join("\n").replaceAll(/^/gm, "  | "));
  say(`  all of it: .tools/logs/${suite.name}.log`);
}

async function runLanes(suites, env, missing) {
  const results = new Map();
  const skipped = new Map();
  const lanes = new Map();
  for (const suite of suites) lanes.set(suite.lane, [...(lanes.get(suite.lane) ?? []), suite]);
  await Promise.all(
    [...lanes.values()].map(async (lane) => {
      for (const suite of lane) {
        const lacks = [suite.needs ?? []].flat().find((name) => missing[name] !== undefined);
        const sentence = missing[lacks];
        if (sentence === undefined) {
          results.set(suite.name, await runSuite(suite, env));
        } else if (isCI(process.env)) {
          say(`${suite.name}: 0 passed, 1 failed: ${sentence}`);
          results.set(suite.name, {
            counts: { passed: 0, failed: 1, ignored: 0, tests: [], cases: new Map() },
            minutes: 0,
          });
        } else {
          say(`${suite.name}: skipped. ${sentence}`);
          skipped.set(suite.name, sentence);
        }
      }
    }),
  );
  return { results, skipped };
}

/** One check a row: a promise that this run does not show is a failure. */
function reportGuarantees(results, skipped) {
  const markdown = readFileSync(join(root, "GUARANTEES.md"), "utf8");
  const counts = new Map([...results].map(([name, result]) => [name, result.counts]));
  const rows = checkGuarantees(readGuarantees(markdown), counts, skipped);
  say("\nGUARANTEES.md: cases that ran for each promise");
  for (const row of rows) {
    say(`${row.cases.toLocaleString("en").padStart(12)}  ${row.promise}`);
    for (const failure of row.failures) say(`${"".padStart(12)}  NOT SHOWN: ${failure}`);
    for (const sentence of row.skipped) say(`${"".padStart(12)}  not here: ${sentence}`);
  }
  const failed = rows.filter((row) => row.failures.length > 0).length;
  const passed = rows.filter((row) => row.failures.length === 0 && row.skipped.length === 0).length;
  say(`guarantees: ${passed} passed, ${failed} failed`);
  // An empty table shows nothing.
  return rows.length === 0 ? { passed: 0, failed: 1 } : { passed, failed };
}

const began = Date.now();
const suites = chosenSuites();
const { missing, env } = await setupTest();
await build({ controls: true });
const { results, skipped } = await runLanes(suites, env, missing);

const totals = [...results.values()].map((result) => result.counts);
if (process.argv.includes("--only")) say("\nGUARANTEES.md is read only when every suite runs.");
else totals.push(reportGuarantees(results, skipped));

say("\nMinutes");
for (const [name, { minutes }] of results) say(`${minutes.toFixed(1).padStart(6)}  ${name}`);
say(`${((Date.now() - began) / 60_000).toFixed(1).padStart(6)}  in all\n`);

const sum = (key) => totals.reduce((total, counts) => total + counts[key], 0);
say(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exit(sum("failed") === 0 && sum("passed") > 0 ? 0 : 1);
