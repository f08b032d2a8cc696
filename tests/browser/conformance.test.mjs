import assert from "node:assert/strict";
import { test } from "node:test";
import { inPage } from "./page.mjs";

for (const kind of ["cell", "fields", "list", "map"]) {
  test(`conformance_of_${kind}_in_chromium`, { timeout: 300_000 }, async () => {
    const { steps, failures } = await inPage(async (kind) => {
      const { SharedHeap } = await import("/js-host/dist/index.js");
      const { conformance } = await import("/tests/conformance/run.mjs");
      const cases = await (await fetch(`/tests/conformance/${kind}.json`)).json();
      const heap = await SharedHeap.create();
      const { liveBytes } = heap.stats();
      const { steps, failures } = conformance(heap, kind, cases);
      const after = await heap.audit();
      if (after.liveBytes !== liveBytes) failures.push(`${after.liveBytes - liveBytes} bytes were not given back`);
      return { steps, failures };
    }, kind);
    assert.deepEqual(failures, []);
    assert.ok(steps > 0);
    console.log(`cases conformance_of_${kind}_in_chromium ${steps}`);
  });
}
