import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, importsOf, refuses, seededRandom, watchdog, withExports } from "./support.mjs";

watchdog(300);

/** So many are refused of each type. */
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
  let refused = 0;
  for (let i = 0; refused < COUNT; i++) {
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
      refused++;
    }
    if (i % 100_000 === 0) await null;
  }
  assert.equal(Object.keys(seen).length, codes.size, JSON.stringify(seen));
  await heap.audit();
  cases(`forged_handles_give_typed_errors_only_${type}`, refused);
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

/** What wasm makes, by the numbers of the types from 1 on: of how many bytes, where that is asked. */
const BYTES = [0, 100, 0, 0, 0, 4_096];

test("references_are_given_back_once_and_by_who_has_them", async () => {
  const heap = await SharedHeap.create();
  const { exports, leave } = rawAgent(heap);
  const random = seededRandom();
  const release = (index, generation) => exports.coheap_release(index, generation);
  const held = Array.from({ length: 500 }, (_, i) => (i % 2 ? heap.cell() : heap.bytes(undefined, 100)).handle);
  let [refused, twice] = [0, 0];
  for (; refused < 1_000_000; refused++) {
    const { index, generation } = held[random(held.length)];
    switch (refused % 4) {
      case 0: {
        // What it has it gives back once.
        const type = random(BYTES.length);
        assert.equal(exports.coheap_open(type + 1, 0, BYTES[type]), 0);
        const own = [0, 1].map((number) => exports.coheap_detail(number));
        assert.equal(release(...own), 0);
        assert.notEqual(release(...own), 0);
        twice++;
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
  }
  console.log(`# ${twice} of ${refused} were given back before`);
  for (const handle of held) assert.equal(heap.open(handle).handle.index, handle.index);
  leave();
  await heap.audit();
  cases("references_are_given_back_once_and_by_who_has_them", refused);
});

/** Exports that take a handle of this type first: those that answer a status, and those that answer a number. `wrong`: what they are given. */
const BY_HANDLE = {
  cell: {
    wrong: "block",
    statuses: `set add compare_and_set wait watch piece put compare_and_put wait_value watch_value`.split(" "),
    numbers: "get take snapshot".split(" "),
  },
  bytes: { wrong: "cell", statuses: "length read write sum".split(" "), numbers: [] },
  fields: {
    wrong: "cell",
    statuses: "clone get has lines set append delete change freeze is_frozen".split(" "),
    numbers: [],
  },
  list: { wrong: "block", statuses: [], numbers: "get values put splice".split(" ") },
  map: {
    wrong: "block",
    statuses: "take snapshot set clear add_many".split(" "),
    numbers: "get has size insert delete add compare_and_set get_many set_many entries entry_to".split(" "),
  },
  pipe: {
    wrong: "cell",
    statuses: "capacity available lease_bytes lease_end close abort lose".split(" "),
    numbers: "write read lease reason".split(" "),
  },
};
/** Those that take none, or, as the test below has it, a place of a map, too. */
const BY_MORE = {
  cell: ["open"],
  fields: ["name", "create"],
  map: ["number_at", "is_same_at", "set_at", "add_at"],
};

test("handles_of_the_wrong_type_are_refused_by_wasm_itself", async () => {
  const heap = await SharedHeap.create();
  const { exports, leave } = rawAgent(heap);
  const random = seededRandom();
  const cell = heap.cell().handle;
  const block = heap.bytes(undefined, 100).handle;
  const handles = { cell, block };
  let calls = 0;
  for (const [type, { wrong, statuses, numbers }] of Object.entries(BY_HANDLE)) {
    const known = [...statuses, ...numbers, ...(BY_MORE[type] ?? [])].map((name) => `coheap_${type}_${name}`);
    const all = Object.keys(exports).filter((name) => name.startsWith(`coheap_${type}_`));
    assert.deepEqual(known.sort(), all.sort(), "all that take a handle of this type");
    const { index, generation } = handles[wrong];
    const check = (name, isRefusal) => {
      const call = exports[`coheap_${type}_${name}`];
      const given = (...values) => {
        const answer = call(...values);
        assert.ok(isRefusal(answer), `${type}_${name}: ${answer}`);
        calls++;
      };
      given(index, generation, 0, 0, 0, 0, 0, 0);
      const own = [index, generation];
      for (let i = 0; i < 20_000; i++) {
        // It stays of the wrong type, whatever else is said.
        const [a, b] = i % 2 ? own : [random(2 ** 32), random(2 ** 32)];
        given(a, b, random(100), random(100), random(100), random(100), random(100), random(100));
      }
    };
    for (const name of statuses) check(name, (status) => status > 0);
    for (const name of numbers) check(name, (number) => number < 0 || Number.isNaN(number));
  }
  // Of any type.
  for (const name of ["acquire", "release", "move"]) {
    for (let i = 0; i < 20_000; i++, calls++) {
      assert.notEqual(exports[`coheap_${name}`](random(2 ** 32), random(2 ** 32)), 0, name);
    }
  }
  assert.notEqual(exports.coheap_acquire(cell.index, cell.generation + 1), 0);
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
