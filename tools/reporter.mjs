// A reporter for node:test: one JSON line a test, then the runner's own totals; what tests print passes through.

import { relative } from "node:path";
import { root } from "./process.mjs";

const line = (value) => `${JSON.stringify(value)}\n`;

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* report(events) {
  /** Names of the open tests, by file: a nested test is called "parent > child". */
  const open = new Map();
  const totals = {};
  let lastTest = "";

  for await (const { type, data } of events) {
    if (type === "test:start") {
      const names = open.get(data.file) ?? [];
      names.length = data.nesting;
      names.push(data.name);
      open.set(data.file, names);
    } else if (type === "test:pass" || type === "test:fail") {
      const parents = (open.get(data.file) ?? []).slice(0, data.nesting);
      const file = data.file === undefined ? "" : relative(root, data.file);
      // A file that holds no test, or fails outside of one, is reported by node:test as a test called like the file.
      const isFile = data.name === data.file || relative(root, data.name) === file;
      const name = isFile ? file : [...parents, data.name].join(" > ");
      lastTest = name;
      if (data.details?.type === "suite" && type === "test:pass") continue;
      const error = type === "test:fail" ? (data.details?.error?.cause ?? data.details?.error) : undefined;
      yield line({
        test: name,
        file,
        isFile,
        passed: type === "test:pass",
        skipped: Boolean(data.skip || data.todo),
        duration: data.details?.duration_ms ?? 0,
        ...(error === undefined ? {} : { error: String(error?.stack ?? error?.message ?? error) }),
      });
    } else if (type === "test:diagnostic") {
      const cases = /^cases=(\d+)$/.exec(data.message);
      const total = /^(tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$/.exec(data.message);
      if (cases !== null) yield `cases ${lastTest} ${cases[1]}\n`;
      else if (total !== null && data.nesting === 0) totals[total[1]] = Number(total[2]);
    } else if (type === "test:stdout" || type === "test:stderr") {
      yield data.message;
    }
  }
  yield line({ totals });
}
