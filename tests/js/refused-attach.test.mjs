import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, importsOf, refuses, watchdog } from "./support.mjs";

watchdog(120);

const picture = ({ buffer }) => createHash("sha256").update(new Uint8Array(buffer)).digest("hex");

/** Tokens that must be refused, made from a good one. */
function badTokens(good) {
  const with_ = (changes) => ({ ...good, ...changes });
  const without = (name) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
  const table = [];
  for (const value of [undefined, null, 0, 1, "token", true, 5n, Symbol("s"), [], {}, () => {}]) {
    table.push([value, "COHEAP_INVALID_TOKEN"]);
  }
  for (const name of Object.keys(good)) {
    table.push([without(name), "COHEAP_INVALID_TOKEN"]);
    table.push([Object.assign(Object.create(good), without(name)), "COHEAP_INVALID_TOKEN"]); // inherited is not own
    for (const value of [null, "8", {}, { valueOf: () => 1 }, NaN, 1.5, -1, 2 ** 32, 1n, Symbol("s")]) {
      table.push([with_({ [name]: value }), "COHEAP_INVALID_TOKEN"]);
    }
  }
  table.push([with_({ memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }) }), "COHEAP_INVALID_TOKEN"]);
  table.push([with_({ memory: good.memory.buffer }), "COHEAP_INVALID_TOKEN"]);
  table.push([with_({ control: good.control + 1 }), "COHEAP_INVALID_TOKEN"]);
  table.push([with_({ control: 65_536 * 65_535 }), "COHEAP_INVALID_TOKEN"]);
  table.push([with_({ control: 0 }), "COHEAP_NOT_A_HEAP"]);
  table.push([with_({ control: good.control + 65_536 }), "COHEAP_NOT_A_HEAP"]);
  table.push([with_({ layout: good.layout + 1 }), "COHEAP_ABI_MISMATCH"]);
  table.push([with_({ abi: good.abi + 1 }), "COHEAP_ABI_MISMATCH"]);
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  table.push([with_({ module: new WebAssembly.Module(empty) }), "COHEAP_INVALID_TOKEN"]);
  return table;
}

test("refused_attach_by_a_bad_token_changes_no_byte", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  heap.cell("x").set(1);
  await null; // the fence's microtask
  const good = heap.token();
  const before = picture(good.memory);
  const table = badTokens(good);
  for (const [token, code] of table) {
    refuses(() => SharedHeap.attach(token), code);
    refuses(() => attach(token), code);
    assert.equal(picture(good.memory), before);
  }
  SharedHeap.attach(good).detach();
  assert.notEqual(picture(good.memory), before); // the picture does see an attach
  await heap.audit();
  cases("refused_attach_by_a_bad_token_changes_no_byte", 2 * table.length);
});

test("attach_that_finds_no_memory_changes_nothing_but_its_seat", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB", fixed: true });
  const kept = [];
  for (let size = 1 << 20; size >= 16; size >>= 1) {
    try {
      for (;;) kept.push(heap.bytes(undefined, size));
    } catch (error) {
      assert.equal(error.code, "COHEAP_OUT_OF_MEMORY");
    }
  }
  await null;
  const { memory, control } = heap.token();
  const before = new Uint8Array(memory.buffer).slice();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    const token = heap.token();
    refuses(() => SharedHeap.attach(token), "COHEAP_OUT_OF_MEMORY");
  }
  // The seat that was taken and given back is the second; all agents had to give up what they own of the free slabs.
  const seats = new Uint16Array(memory.buffer, control + 0x100, 1)[0] * 65_536;
  const allowed = [
    [control + 0x40, 16],
    [seats, 8],
    [seats + 1024, 1024],
  ];
  const after = new Uint8Array(memory.buffer);
  const outside = [];
  for (let at = 0; at < after.length; at++) {
    const inside = allowed.some(([from, length]) => at >= from && at < from + length);
    if (after[at] !== before[at] && !inside) outside.push(at - control);
  }
  assert.deepEqual(outside, []);
  kept.pop().dispose();
  await heap.audit();
  cases("attach_that_finds_no_memory_changes_nothing_but_its_seat", rounds);
});

test("refused_attach_to_a_heap_of_another_version_changes_no_byte", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const token = heap.token();
  const words = new Int32Array(token.memory.buffer, token.control, 8);
  const wrong = [
    [0, 0, "COHEAP_NOT_A_HEAP"],
    [0, -1, "COHEAP_NOT_A_HEAP"],
    [1, 0, "COHEAP_ABI_MISMATCH"],
    [1, 2, "COHEAP_ABI_MISMATCH"],
    [1, -1, "COHEAP_ABI_MISMATCH"],
    [2, 0, "COHEAP_ABI_MISMATCH"],
    [2, 2, "COHEAP_ABI_MISMATCH"],
    [3, words[3] | 1, "COHEAP_FROZEN"],
  ];
  for (const [word, value, code] of wrong) {
    const right = words[word];
    words[word] = value;
    const before = picture(token.memory);
    refuses(() => SharedHeap.attach(token), code);
    refuses(() => attach(token), code);
    assert.equal(picture(token.memory), before);
    words[word] = right;
  }
  SharedHeap.attach(token).detach();
  cases("refused_attach_to_a_heap_of_another_version_changes_no_byte", 2 * wrong.length);
});

test("refused_attach_by_a_used_token_changes_no_byte", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const token = heap.token();
  const other = SharedHeap.attach(token);
  await null;
  const before = picture(token.memory);
  const error = refuses(() => SharedHeap.attach(token), "COHEAP_INVALID_TOKEN");
  assert.match(error.message, /one token lets in one agent/);
  refuses(() => attach(structuredClone(token)), "COHEAP_INVALID_TOKEN");
  assert.equal(picture(token.memory), before);
  other.detach();
  SharedHeap.attach(token).detach(); // who has left may come back
  SharedHeap.attach({ ...token, nonceHigh: 0, nonceLow: 0 }).detach(); // as free slots have it
  cases("refused_attach_by_a_used_token_changes_no_byte", 2);
});

test("instantiating_the_module_changes_no_byte", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const { memory, module } = heap.token();
  await null;
  const before = picture(memory);
  new WebAssembly.Instance(module, importsOf(memory));
  assert.equal(picture(memory), before);
});

test("attach_to_a_heap_whose_slots_lie_nowhere_is_refused_as_corrupt", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const token = heap.token();
  // The addresses of the chunks of slots.
  const chunks = new Uint32Array(token.memory.buffer, token.control + 0x100, 32);
  const places = [0x8000_0000, 4, 0x7fff_fff8];
  for (const place of places) {
    chunks[1] = place;
    const error = refuses(() => SharedHeap.attach(token), "COHEAP_CORRUPT");
    assert.ok(error.cause instanceof WebAssembly.RuntimeError);
    refuses(() => attach(token), "COHEAP_CORRUPT");
  }
  chunks[1] = 0;
  SharedHeap.attach(token).detach();
  await heap.audit();
  cases("attach_to_a_heap_whose_slots_lie_nowhere_is_refused_as_corrupt", 2 * places.length);
});
