// The conformance suite in whatever runtime runs this; reports what it found as one line of JSON.

import { readFileSync } from "node:fs";
import { checkEnvironment, SharedHeap } from "../../js-host/dist/index.js";
import { conformance } from "../conformance/run.mjs";

const found = { environment: checkEnvironment(), steps: {}, failures: [] };
const heap = await SharedHeap.create();
const { liveBytes } = heap.stats();
for (const kind of ["cell", "fields", "list", "map"]) {
  const cases = JSON.parse(readFileSync(new URL(`../conformance/${kind}.json`, import.meta.url), "utf8"));
  const { steps, failures } = conformance(heap, kind, cases);
  found.steps[kind] = steps;
  found.failures.push(...failures);
}
const after = await heap.audit();
if (after.liveBytes !== liveBytes) found.failures.push(`${after.liveBytes - liveBytes} bytes were not given back`);
heap.detach();
console.log(JSON.stringify(found));
