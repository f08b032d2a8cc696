import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, importsOf, refuses, seededRandom, watchdog, withExports } from "./support.mjs";

watchdog(300);

/** Of each type. */
const COUNT = 1_000_000;

const makers = {
  cell: (heap) => heap.cell(),
  bytes: (heap, i) => heap.bytes(undefined, 16 + i),
  map: (heap, i) => heap.map().set("a", i),
  list: (heap, i) => {
    const list = heap.list();
    list.push(i);
    return list;
  },
  fields: (heap, i) => heap.fields({ a: `${i}` }),
  pipe: (heap) => heap.pipe(undefined, { capacity: 4096 }),
};

/** What is done with what was opened. */
const uses = {
  cell: (cell) => cell.get(),
  bytes: (bytes) => bytes.sum(),
  map: (map) => map.get("a"),
  list: (list) => list.at(0),
  fields: (fields) => fields.get("a"),
  pipe: (pipe) => pipe.available,
};

for (const [type, make] of Object.entries(makers)) {
  test(`forged_handles_give_typed_errors_only_${type}`, () => forge(type, make));
}

async function forge(type, make) {
  // Millions of errors: where each was thrown is what takes the time.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    await forgeAll(type, make);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function forgeAll(type, make) {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const live = [];
  const stale = [];
  for (let i = 0; i < 2000; i++) live.push(make(heap, i));
  for (let i = 0; i < 1000; i++) {
    const gone = live.splice(random(live.length), 1)[0];
    stale.push(gone.handle);
    gone.dispose();
    if (i % 2) live.push(make(heap, i));
  }
  const wrappers = new Set(live);
  const handles = live.map(({ handle }) => handle);
  const alive = new Set(handles.map(({ index, generation }) => `${index}:${generation}`));
  const { coheap } = handles[0];
  const pick = (list) => list[random(list.length)];
  const forgeries = [
    () => ({ coheap, index: random(2 ** 32), generation: random(2 ** 32) }),
    () => ({ coheap, index: random(4096), generation: random(2 ** 32) }),
    () => ({ ...pick(handles), generation: random(2 ** 32) }),
    () => ({ ...pick(handles), generation: (pick(handles).generation + 1) >>> 0 }),
    () => ({ ...pick(handles), index: random(4096) }),
    () => pick(stale),
    () => ({ coheap, index: pick([0, 1, 2 ** 31, 2 ** 32 - 1]), generation: pick([0, 1, 2 ** 31, 2 ** 32 - 1]) }),
    () => ({
      ...pick(handles),
      [pick(["index", "generation"])]: pick([-1, 1.5, NaN, 2 ** 32, "5", null, {}, 5n, undefined]),
    }),
    () => ({ ...pick(handles), coheap: pick(["", "0000000000000000", 5, null]) }),
    () => pick([null, undefined, 5, "handle", [], {}]),
    () => pick(handles),
  ];
  const codes = new Set(["COHEAP_STALE_HANDLE", "COHEAP_INVALID_ARGUMENT", "COHEAP_FOREIGN_HANDLE"]);
  const seen = {};
  for (let i = 0; i < COUNT; i++) {
    const handle = forgeries[i % forgeries.length]();
    const named =
      alive.has(`${handle?.index}:${handle?.generation}`) &&
      handle.coheap === coheap &&
      typeof handle.index === "number" &&
      typeof handle.generation === "number";
    try {
      const wrapper = heap.open(handle);
      if (!named) assert.fail(`opened ${JSON.stringify(handle)}`);
      if (!wrappers.has(wrapper)) assert.fail("a second wrapper of one object");
      uses[type](wrapper);
    } catch (error) {
      if (named || !isCoheapError(error) || !codes.has(error.code)) throw error;
      seen[error.code] = (seen[error.code] ?? 0) + 1;
    }
    if (i % 100_000 === 0) await null;
  }
  assert.equal(Object.keys(seen).length, codes.size, JSON.stringify(seen));
  await heap.audit();
  cases(`forged_handles_give_typed_errors_only_${type}`, COUNT);
}

/** An agent without our glue: what enters wasm is any 32 bits. */
function rawAgent(heap) {
  const { module, memory, control, nonceLow, nonceHigh } = heap.token();
  const { exports } = new WebAssembly.Instance(module, importsOf(memory));
  const slot = exports.coheap_claim(control, nonceLow, nonceHigh, 0, 0, 0, 0);
  exports.agent.value = slot;
  exports.incarnation.value = exports.coheap_incarnation();
  exports.__stack_pointer.value = slot + 1024;
  exports.__stack_limit.value = slot + 320;
  assert.equal(exports.coheap_attach(), 0);
  exports.__stack_pointer.value = exports.coheap_stack_top();
  exports.__stack_limit.value = exports.coheap_stack_base();
  return { exports, leave: () => exports.coheap_detach() };
}

test("references_are_given_back_once_and_by_who_has_them", async () => {
  const heap = await SharedHeap.create();
  const { exports, leave } = rawAgent(heap);
  const random = seededRandom();
  const release = (index, generation) => exports.coheap_release(index, generation);
  const held = Array.from({ length: 500 }, (_, i) => (i % 2 ? heap.cell() : heap.bytes(undefined, 100)).handle);
  let refused = 0;
  for (let i = 0; i < 1_400_000; i++) {
    const { index, generation } = held[random(held.length)];
    switch (i % 4) {
      case 0: {
        // What it has it gives back once.
        if (i % 4000 !== 0) continue;
        assert.equal(exports.coheap_open(1, 0, 0), 0);
        const own = [0, 1].map((number) => exports.coheap_detail(number));
        assert.equal(release(...own), 0);
        assert.notEqual(release(...own), 0);
        break;
      }
      case 1:
        assert.notEqual(release(index, generation), 0, "another agent's");
        break;
      case 2:
        assert.notEqual(release(index, generation + 1 + random(1000)), 0, "of another generation");
        break;
      default:
        assert.notEqual(release(random(2 ** 32), random(2 ** 32)), 0, "nobody's");
    }
    refused++;
  }
  for (const handle of held) assert.equal(heap.open(handle).handle.index, handle.index);
  leave();
  await heap.audit();
  cases("references_are_given_back_once_and_by_who_has_them", refused);
});

test("handles_of_the_wrong_type_are_refused_by_wasm_itself", async () => {
  const heap = await SharedHeap.create();
  const { exports, leave } = rawAgent(heap);
  const random = seededRandom();
  const cell = heap.cell().handle;
  const block = heap.bytes(undefined, 100).handle;
  const wrong = {
    cell_read: block,
    cell_set: block,
    cell_add: block,
    cell_compare_and_set: block,
    cell_watch: block,
    cell_take: block,
    cell_piece: block,
    cell_snapshot: block,
    cell_put: block,
    cell_compare_and_put: block,
    cell_watch_value: block,
    bytes_length: cell,
    bytes_read: cell,
    bytes_write: cell,
    bytes_sum: cell,
    map_get: cell,
    map_take: block,
    map_snapshot: cell,
    map_has: block,
    map_size: cell,
    map_set: block,
    map_insert: cell,
    map_delete: block,
    map_add: cell,
    map_compare_and_set: block,
    map_clear: cell,
    map_get_many: block,
    map_set_many: cell,
    map_entries: block,
    map_entry_to: cell,
    release: cell,
    move: block,
    acquire: { index: cell.index, generation: cell.generation + 1 },
  };
  let calls = 0;
  for (const [name, { index, generation }] of Object.entries(wrong)) {
    assert.notEqual(exports[`coheap_${name}`](index, generation, 0, 0), 0, name);
    for (let i = 0; i < 20_000; i++, calls++) {
      const [a, b] = [random(2 ** 32), random(2 ** 32)];
      assert.notEqual(exports[`coheap_${name}`](a, b, random(100), random(100)), 0, name);
    }
  }
  for (const { index, generation } of [cell, block]) {
    // It has no reference, so it can give none back and none away.
    for (const name of ["release", "move"]) assert.notEqual(exports[`coheap_${name}`](index, generation), 0, name);
  }
  assert.equal(heap.open(cell).get(), 0);
  leave();
  await heap.audit();
  cases("handles_of_the_wrong_type_are_refused_by_wasm_itself", calls);
});

test("places_that_are_made_up_trap_nothing_and_find_no_value_of_another_map", async () => {
  let exports;
  const keep = (made) => {
    exports = made;
    return made;
  };
  const heap = await withExports(keep, () => SharedHeap.create());
  const random = seededRandom();
  const map = heap.map();
  const { index, generation } = map.handle;
  for (let i = 0; i < 500; i++) map.set(i, i).set(`text ${i}`, `a value of a block ${i}`);
  const transfer = new DataView(heap.token().memory.buffer, exports.coheap_transfer(), 64);
  assert.equal(exports.coheap_map_take(index, generation, 0, 7, 0), 0);
  const word = (at) => transfer.getUint32(at, true);
  const [entry, low, middle, high, headLow, headHigh] = [0, 4, 8, 12, 16, 20].map(word);
  const era = transfer.getFloat64(24, true);
  assert.equal(exports.coheap_map_number_at(index, generation, entry, era, headLow, headHigh), 7);
  assert.equal(exports.coheap_map_is_same_at(index, generation, entry, era, headLow, headHigh, low, middle, high), 1);
  const wrong = [
    [index, generation + 1, entry, era, headLow, headHigh],
    [index + 1, generation, entry, era, headLow, headHigh],
    [index, generation, entry, era + 1, headLow, headHigh],
    [index, generation, entry, NaN, headLow + 16, headHigh],
    [index, generation, entry, era, headLow, headHigh ^ 1],
  ];
  for (const given of wrong) {
    assert.ok(Number.isNaN(exports.coheap_map_number_at(...given)), String(given));
    assert.equal(exports.coheap_map_is_same_at(...given, low, middle, high), 0);
    assert.equal(exports.coheap_map_set_at(...given, 0, 1), 0);
    assert.ok(Number.isNaN(exports.coheap_map_add_at(...given, 1)));
  }
  for (const [kind, number] of [
    [1, 4],
    [2, 2 ** 48],
    [3, 2 ** 31],
    [4, 0],
    [9, 8],
    [15, 8],
    [2 ** 32 - 1, NaN],
  ]) {
    assert.equal(exports.coheap_map_set_at(index, generation, entry, era, headLow, headHigh, kind, number), 0);
  }
  assert.equal(exports.coheap_map_set_at(index, generation, entry, era, headLow, headHigh, 0, 8), 1);
  assert.equal(exports.coheap_map_add_at(index, generation, entry, era, headLow, headHigh, 2), 10);
  const count = 300_000;
  for (let i = 0; i < count; i++) {
    const made = i % 2 ? random(2 ** 32) : (entry + random(4096) - 2048) >>> 0;
    // What lies there is anything; only what a map is asked for is believed.
    assert.equal(typeof exports.coheap_map_number_at(index, generation, made, era, headLow, headHigh), "number");
    const seen = [random(2 ** 32), random(2 ** 32), i % 3 ? random(2 ** 20) : 2 ** 32 - 1];
    assert.equal(exports.coheap_map_is_same_at(index, generation, made, era, headLow, headHigh, ...seen), 0);
    // What is written to is an entry of this map, or nothing.
    const done = exports.coheap_map_set_at(index, generation, made, era, headLow, headHigh, 0, 5);
    assert.ok(done === 0 || done === 1);
  }
  assert.equal(map.size, 1000);
  await heap.audit();
  cases("places_that_are_made_up_trap_nothing_and_find_no_value_of_another_map", count);
});

test("handles_of_another_heap_are_refused", async () => {
  const [one, two] = [await SharedHeap.create(), await SharedHeap.create()];
  const [a, b] = [one.cell(), two.cell()];
  refuses(() => two.open(a.handle), "COHEAP_FOREIGN_HANDLE");
  // Even under the other heap's name: generations start at random.
  refuses(() => two.open({ ...a.handle, coheap: b.handle.coheap }), "COHEAP_STALE_HANDLE");
});
