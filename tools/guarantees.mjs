// GUARANTEES.md: each row's promise is shown by tests of this very run, or by rows of the bench table.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { casesOf, names } from "./counters.mjs";
import { root } from "./process.mjs";

/** @returns {{ promise: string, shownBy: { suite: string, name: string }[] }[]} */
export function readGuarantees(markdown) {
  const rows = [];
  for (const line of markdown.split("\n")) {
    const cells = /^\|(.+)\|(.+)\|\s*$/.exec(line);
    if (cells === null || /^[\s:|-]+$/.test(line) || cells[1].trim() === "Promise") continue;
    const shownBy = [...cells[2].matchAll(/`([\w-]+): ([^`]+)`/g)].map(([, suite, name]) => ({ suite, name }));
    rows.push({ promise: cells[1].trim(), shownBy });
  }
  return rows;
}

/** The verdicts of the bench's committed results, by row. */
function benchVerdicts() {
  const file = join(root, "benches", "results.json");
  if (!existsSync(file)) return new Map();
  return new Map(JSON.parse(readFileSync(file, "utf8")).rows.map(({ row, verdict }) => [row, verdict]));
}

/**
 * @param {Map<string, import("./counters.mjs").Counts>} results by suite, of this run
 * @param {Map<string, string>} skipped suites that could not run here, and the sentence that says why
 * @returns {{ promise: string, cases: number, failures: string[], skipped: string[] }[]}
 */
export function checkGuarantees(rows, results, skipped) {
  const verdicts = benchVerdicts();
  return rows.map(({ promise, shownBy }) => {
    const row = { promise, cases: 0, failures: [], skipped: [] };
    if (shownBy.length === 0) row.failures.push("names no test");
    for (const { suite, name } of shownBy) {
      if (suite === "bench") {
        const verdict = verdicts.get(name) ?? "not in benches/results.json";
        if (/^(missed|not)\b/.test(verdict)) row.failures.push(`bench: "${name}" is ${verdict}`);
        else row.cases += 1;
        continue;
      }
      if (skipped.has(suite)) {
        row.skipped.push(skipped.get(suite));
        continue;
      }
      const counts = results.get(suite);
      const found = counts?.tests.filter((test) => names(name, test.name)) ?? [];
      const ran = found.filter((test) => !test.skipped);
      if (ran.length === 0) row.failures.push(`${suite}: "${name}" did not run`);
      for (const test of ran) {
        if (test.passed) row.cases += casesOf(counts, test.name);
        else row.failures.push(`${suite}: "${name}" failed`);
      }
    }
    return row;
  });
}
