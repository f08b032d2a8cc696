// The numbers of an error are those of the refusal that it tells of: in heap.wasm they stand beside the error, not in it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(120);

const MAXIMUM = 2 ** 24;
const CAPACITY = 4096;

/** What an agent is refused, and by which numbers. */
function refusals(heap) {
  const list = heap.list();
  list.push("only");
  const text = heap.cell();
  text.set("text");
  const frozen = heap.fields(undefined, [["a", "b"]]);
  frozen.freeze();
  const fields = heap.fields();
  const full = heap.pipe(undefined, { capacity: CAPACITY });
  full.tryWrite(new Uint8Array(CAPACITY));
  const closed = heap.pipe();
  closed.close();
  const index = (wrapper) => wrapper.handle.index;
  return [
    ["WRONG_TYPE", () => heap.map("a cell"), { expected: "map", found: "cell" }],
    ["OUT_OF_RANGE", () => list.set(7, 0), { offset: 7, length: 1, limit: 1 }],
    // From 2³¹ on in multiples of 16.
    ["OUT_OF_MEMORY", () => heap.bytes(undefined, 2 ** 31 + 17), { requested: 2 ** 31 + 16, maximum: MAXIMUM }],
    ["NOT_A_NUMBER", () => text.add(1), { found: "string" }],
    ["INVALID_FIELD", () => fields.set("a b", "c"), { character: 32, offset: 1 }],
    ["INVALID_FIELD", () => fields.set("abc", "xyz\n"), { character: 10, offset: 3 }],
    ["IMMUTABLE", () => frozen.set("a", "c"), { index: index(frozen) }],
    ["TOKEN_TOO_LONG", () => full.tryRead({ until: "\n" }), { length: CAPACITY, capacity: CAPACITY, writes: 1 }],
    ["PIPE_CLOSED", () => closed.tryWrite(new Uint8Array(1)), { index: index(closed) }],
  ];
}

test("details_of_an_error_are_those_of_its_own_refusal", async () => {
  const heap = await SharedHeap.create({ maximum: "16MiB" });
  heap.cell("a cell");
  const other = SharedHeap.attach(heap.token());
  const all = [...refusals(heap), ...refusals(other)];
  const next = seededRandom();
  const count = 2_000;
  // One after the other, of two agents, in any order: none leaves a number to the next.
  for (let round = 0; round < count; round++) {
    const [code, call, details] = all[next(all.length)];
    const error = refuses(call, `COHEAP_${code}`);
    // How much is taken changes.
    const { live: _, ...told } = error.details;
    assert.deepEqual(told, details, code);
  }
  cases("details_of_an_error_are_those_of_its_own_refusal", count);
});
