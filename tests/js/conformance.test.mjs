import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { conformance } from "../conformance/run.mjs";

const cases = (kind) => JSON.parse(readFileSync(new URL(`../conformance/${kind}.json`, import.meta.url), "utf8"));

for (const kind of ["cell", "fields", "list", "map"]) {
  test(`conformance_of_${kind}_in_node`, { timeout: 60_000 }, async () => {
    const heap = await SharedHeap.create();
    const before = heap.stats().liveBytes;
    const { steps, failures } = conformance(heap, kind, cases(kind));
    assert.deepEqual(failures, []);
    assert.ok(steps > 0);
    console.log(`cases conformance_of_${kind}_in_node ${steps}`);
    assert.equal((await heap.audit()).liveBytes, before, "everything was given back");
    heap.detach();
  });
}

test("conformance_sees_a_structure_that_does_not_conform", () => {
  const heap = {
    cell: () => {
      let value = 0;
      // A cell that takes -0 for 0, and NaN for no NaN.
      const compareAndSet = (old, next) => {
        const same = old === value;
        if (same) value = next;
        return same;
      };
      return {
        get: () => value,
        set: (to) => (value = to),
        add: (by) => (value += by),
        compareAndSet,
        dispose: () => {},
      };
    },
  };
  const { failures } = conformance(heap, "cell", cases("cell"));
  assert.ok(failures.length > 4, failures.join("\n"));
});
