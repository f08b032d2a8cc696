// How many calls of wasm it takes to bring many values in or out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, watchdog, withExports } from "./support.mjs";

watchdog(60);

test("many_values_cross_together_in_as_few_calls_as_said", async () => {
  let calls = {};
  const counted = (exports) => {
    const changed = { ...exports };
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value !== "function") continue;
      changed[name] = (...given) => {
        calls[name] = (calls[name] ?? 0) + 1;
        return value(...given);
      };
    }
    return changed;
  };
  const heap = await withExports(counted, () => SharedHeap.create());
  const numbers = Array.from({ length: 1000 }, (_, i) => i);
  // With their records 24 of them are less than 24 KiB, and 27 less than 28 KiB.
  const texts = numbers.slice(0, 64).map((i) => String(i).padStart(1000));
  const [list, long, map, pipe] = [heap.list(), heap.list(), heap.map(), heap.pipe()];
  /** What is called, and how often each export is for it: 64 numbers cross together, or 24 KiB in, 28 KiB out. */
  const table = [
    [() => list.push(...numbers.slice(0, 64)), { coheap_list_put: 1 }],
    [() => list.clear(), { coheap_list_splice: 1 }],
    [() => list.pushMany(numbers), { coheap_list_put: 16 }],
    [() => list.slice(), { coheap_list_get: 1, coheap_list_values: 16 }],
    [() => list.slice(100, 164), { coheap_list_get: 1, coheap_list_values: 1 }],
    // One more to see that nothing follows.
    [() => [...list], { coheap_list_values: 17 }],
    [() => list.toJS(), { coheap_list_values: 17 }],
    [() => list.splice(0, 500), { coheap_list_splice: 8, coheap_detail: 24 }],
    [() => list.insert(0, ...numbers.slice(0, 500)), { coheap_list_splice: 8, coheap_detail: 8 }],
    [() => long.pushMany(texts), { coheap_list_put: 3 }],
    [() => long.slice(), { coheap_list_get: 1, coheap_list_values: 3 }],
    [() => map.setMany(numbers.map((i) => [i, i])), { coheap_map_set_many: 16 }],
    [() => map.getMany(numbers), { coheap_map_get_many: 16 }],
    [() => [...map], { coheap_map_entries: 17 }],
    // Small chunks make writes of 4,096 bytes, and a read has all of them.
    [() => pipe.writeMany(numbers.map(() => "0123456789")), { coheap_pipe_write: 3 }],
    [() => pipe.tryRead(), { coheap_pipe_read: 1 }],
  ];
  heap.cell().set("what an agent does once");
  for (const [call, expected] of table) {
    calls = {};
    await call();
    // A turn's own calls, before and after it, are the same however much it does.
    for (const name of ["coheap_turn_begin", "coheap_turn_end"]) delete calls[name];
    assert.deepEqual(calls, expected, `${call}`);
  }
  cases("many_values_cross_together_in_as_few_calls_as_said", table.length);
});
