// References that a call has when an exception leaves it: what it made for itself, and what it made for a wrapper.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, watchdog, withExports } from "./support.mjs";

watchdog(200);

test("dispose_left_by_an_exception_and_done_again_ends_no_other_wrapper", async () => {
  let leave = false;
  const change = (exports) => ({
    ...exports,
    coheap_release: (...given) => {
      const status = exports.coheap_release(...given);
      if (leave) throw new RangeError("The reference is given back, and this comes after it.");
      return status;
    },
  });
  const heap = await withExports(change, () => SharedHeap.create());
  const rounds = 100;
  for (let round = 0; round < rounds; round++) {
    const first = heap.cell();
    leave = true;
    assert.throws(() => first.dispose(), RangeError);
    leave = false;
    assert.equal(first.disposed, false);
    refuses(() => first.get(), "COHEAP_STALE_HANDLE");
    let second = heap.cell();
    while (second.handle.index !== first.handle.index) second = heap.cell();
    first.dispose();
    assert.equal(first.disposed, true);
    assert.ok(heap.open(second.handle) === second);
    second.dispose();
    refuses(() => heap.open(second.handle), "COHEAP_STALE_HANDLE");
  }
  await heap.audit();
  cases("dispose_left_by_an_exception_and_done_again_ends_no_other_wrapper", rounds);
});

test("calls_at_the_end_of_the_stack_leave_no_reference_behind", () => {
  const [dist, support] = ["../../js-host/dist/index.js", "./support.mjs"].map(
    (path) => new URL(path, import.meta.url),
  );
  const text = `
    import { SharedHeap } from ${JSON.stringify(dist.href)};
    import { withExports } from ${JSON.stringify(support.href)};
    // Long values are read as a reader that always lost to writers reads them.
    const change = (exports) => ({ ...exports, coheap_cell_take: exports.coheap_cell_snapshot });
    const heap = await withExports(change, () => SharedHeap.create());
    const long = "\\u0100" + "a".repeat(20_000);
    const cell = heap.cell("cell", long);
    const lines = Array.from({ length: 4 }, (_, i) => ["name-" + i, "v".repeat(10_000)]);
    const fields = heap.fields(lines);
    const { handle } = heap.cell("opened");
    heap.cell("opened").dispose();
    const kept = new Array(1000).fill();
    let count = 0;
    const all = {
      set: () => cell.set(long),
      get: () => cell.get(),
      compareAndSet: () => cell.compareAndSet(long, long),
      getAll: () => fields.getAll("name-1"),
      change: () => fields.set("name-1", "w".repeat(29_000)),
      clone: () => { kept[count] = fields.clone(); count++; },
      fields: () => { kept[count] = heap.fields(lines); count++; },
      cell: () => { kept[count] = heap.cell(); count++; },
      holding: () => { kept[count] = heap.cell(undefined, long); count++; },
      bytes: () => { kept[count] = heap.bytes(undefined, 1000); count++; },
      open: () => { kept[count] = heap.open(handle); count++; },
    };
    let sweeps = 0;
    let exceptions = 0;
    const lost = [];
    for (const [name, operation] of Object.entries(all)) {
      fields.set("name-1", "v".repeat(29_000));
      operation();
      for (let i = 0; i < count; i++) kept[i].dispose();
      count = 0;
      await null;
      const before = heap.stats().liveBytes;
      for (let pad = 0; pad < 24; pad++) {
        // At the very end of the stack, then some frames further up each time, until it has gone well three times.
        let well = 0;
        const walk = (depth) => {
          try {
            return walk(depth + 1) + 1;
          } catch (error) {
            try {
              if (depth % 3 === 0) {
                operation();
                well++;
              }
            } catch (error) {
              if (error instanceof RangeError) exceptions++;
            }
            if (well < 3) throw error;
            return 0;
          }
        };
        walk(0, ...new Array(pad));
        for (let i = 0; i < count; i++) { kept[i].dispose(); kept[i] = undefined; }
        count = 0;
        heap.cell().dispose(); // one more call
        const after = heap.stats().liveBytes;
        if (after !== before) lost.push(name + " " + pad + ": " + (after - before));
        sweeps++;
      }
    }
    await heap.audit();
    console.log(JSON.stringify({ sweeps, exceptions, lost }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--stack-size=500", "--input-type=module", "--eval", text], {
    encoding: "utf8",
  });
  assert.notEqual(stdout, "", stderr);
  const { sweeps, exceptions, lost } = JSON.parse(stdout);
  assert.deepEqual(lost, []);
  assert.ok(exceptions > sweeps, `${exceptions} exceptions in ${sweeps} sweeps`);
  cases("calls_at_the_end_of_the_stack_leave_no_reference_behind", sweeps);
});
