// Reads what the runners print: their own totals, each test's name and outcome, and the cases that tests count.

/**
 * @typedef {{ name: string, passed: boolean, skipped: boolean, error?: string }} Test
 * @typedef {{ passed: number, failed: number, ignored: number, tests: Test[], cases: Map<string, number> }} Counts
 */

/** `cases <test name> <number>`, printed by tests in any language; several lines of one test add up. */
function readCases(output) {
  const cases = new Map();
  for (const [, name, number] of output.matchAll(/^cases (.+) (\d+)$/gm)) {
    cases.set(name, (cases.get(name) ?? 0) + Number(number));
  }
  return cases;
}

/** cargo test, Miri and wasm-pack: libtest's lines, one total for each test binary. */
function readCargo(output) {
  const counts = { passed: 0, failed: 0, ignored: 0 };
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.ignored += Number(ignored);
  }
  const tests = [];
  for (const [, name, outcome] of output.matchAll(/^test (.+?) \.\.\. (ok|FAILED|FAIL|ignored)\b/gm)) {
    const plain = name.replace(/ - should panic$/, "").replace(/ - compile( fail)?$/, "");
    tests.push({ name: plain, passed: outcome === "ok", skipped: outcome === "ignored" });
  }
  return { ...counts, tests, cases: readCases(output) };
}

/** node:test through tools/reporter.mjs. A test file without a test counts as failed. */
function readNode(output) {
  const tests = [];
  let totals = {};
  for (const line of output.split("\n")) {
    if (!line.startsWith('{"t')) continue;
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      continue;
    }
    if (record.totals !== undefined) totals = record.totals;
    if (record.test === undefined) continue;
    const empty = record.isFile && record.passed;
    const error = empty ? `${record.file} holds no test` : record.error;
    tests.push({ name: record.test, passed: record.passed && !empty, skipped: record.skipped, empty, error });
  }
  const empty = tests.filter((test) => test.empty).length;
  return {
    passed: (totals.pass ?? 0) - empty,
    failed: (totals.fail ?? 0) + (totals.cancelled ?? 0) + empty,
    ignored: (totals.skipped ?? 0) + (totals.todo ?? 0),
    tests,
    cases: readCases(output),
  };
}

const readers = { cargo: readCargo, node: readNode };

/** @returns {Counts} */
export function readCounts(runner, output) {
  return readers[runner](output);
}

/**
 * Whether `wanted` (as GUARANTEES.md and cases lines write it) names `test`: the whole name, or its last part
 * ("pages::grow::in_batches" is also "in_batches").
 */
export function names(wanted, test) {
  return wanted === test || test.endsWith(`::${wanted}`) || test.endsWith(` > ${wanted}`);
}

/** How many cases the test ran: its own count, else one. */
export function casesOf(counts, test) {
  let sum = 0;
  for (const [name, number] of counts.cases) {
    if (names(name, test) || names(test, name)) sum += number;
  }
  return sum === 0 ? 1 : sum;
}
