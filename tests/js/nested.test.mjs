// Structures as values of maps: one wrapper an agent, alive as long as a map has them, copied in and out as plain data.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(200);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** Ended maps are taken apart as objects are made. */
function drain(heap, rounds = 500) {
  for (let i = 0; i < rounds; i++) heap.cell().dispose();
}

/** Bytes in use when all that ended is taken apart, and every wrapper that nobody has any more was collected. */
async function liveBytes(heap) {
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
    drain(heap, 1000);
  }
  const { liveBytes } = await heap.audit();
  assert.ok(liveBytes >= 0);
  return liveBytes;
}

test("structure_in_a_map_is_read_as_the_one_wrapper_of_its_agent", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  const inner = [heap.map(), heap.cell(), heap.bytes(undefined, 10), heap.fields({ a: "1" })];
  const long = "a key that is long ".repeat(700);
  const keys = ["short", "a key that needs a block of its own", 7, long];
  for (const [i, key] of keys.entries()) map.set(key, inner[i]);
  for (const [i, key] of keys.entries()) {
    assert.equal(map.get(key), inner[i]);
    assert.equal(map.get(key), inner[i]);
    assert.equal(map.getOrInsert(key, 1), inner[i]);
    assert.ok(map.has(key));
  }
  assert.deepEqual(map.getMany([...keys, "none"]), [...inner, undefined]);
  assert.deepEqual([...map.values()], inner);
  assert.deepEqual(
    [...map],
    keys.map((key, i) => [key, inner[i]]),
  );
  assert.ok(map.compareAndSet("short", inner[0], inner[1]));
  assert.ok(!map.compareAndSet("short", inner[0], 5));
  assert.ok(map.compareAndSet("short", inner[1], "text"));
  assert.ok(map.compareAndSet("short", "text", inner[0]));
  map.setMany([
    ["x", inner[2]],
    ["y", 1],
    ["z", inner[3]],
  ]);
  assert.equal(map.get("z"), inner[3]);
  assert.throws(() => map.add("z"), { code: "COHEAP_NOT_A_NUMBER" });
  assert.equal(map.get("z"), inner[3]);
  await heap.audit();
});

test("structure_ends_with_the_last_map_and_the_last_wrapper_of_all_agents", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const before = await liveBytes(heap);
  const map = heap.map("m");
  const inner = heap.map();
  inner.set("deep", heap.from({ deeper: [1, 2, { deepest: "text" }] }));
  const { handle } = inner;
  map.set("a", inner).set("b", inner);
  inner.dispose();
  const theirs = other.map("m").get("a");
  assert.deepEqual(theirs.handle, handle);
  assert.equal(theirs.get("deep").get("deeper").at(2).get("deepest"), "text");
  map.delete("a");
  map.clear();
  // The other agent has it: nothing that is in it is gone.
  assert.equal(theirs.get("deep").get("deeper").at(1), 2);
  theirs.dispose();
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  other.detach();
  map.dispose();
  heap.remove("m");
  assert.equal(await liveBytes(heap), before);
});

test("structure_of_another_heap_or_agent_and_one_that_was_disposed_of_are_refused", async () => {
  const heap = await SharedHeap.create();
  const [foreign, other] = [await SharedHeap.create(), SharedHeap.attach(heap.token())];
  const map = heap.map().set("a", 1);
  const gone = heap.map();
  gone.dispose();
  const refusals = [
    [foreign.map(), "COHEAP_FOREIGN_HANDLE"],
    [other.map(), "COHEAP_INVALID_ARGUMENT"],
    [gone, "COHEAP_DISPOSED"],
  ];
  for (const [value, code] of refusals) {
    for (const call of [
      () => map.set("a", value),
      () => map.set("b", value),
      () => map.getOrInsert("b", value),
      () => map.compareAndSet("a", 1, value),
      () => map.compareAndSet("a", value, 1),
      () => map.setMany([["b", value]]),
      () => heap.from({ b: value }),
    ]) {
      refuses(call, code, String(call));
    }
  }
  refuses(() => heap.cell().set(map), "COHEAP_UNSUPPORTED_VALUE");
  assert.deepEqual([...map], [["a", 1]]);
  await heap.audit();
  cases("structure_of_another_heap_or_agent_and_one_that_was_disposed_of_are_refused", refusals.length * 7);
});

test("plain_data_of_every_shape_comes_back_as_it_went_in", async () => {
  const heap = await SharedHeap.create();
  const shared = { same: [true, null] };
  const data = {
    text: "ä€\ud800",
    list: [1, [2, [3]], { four: 4n }],
    map: new Map([
      [1, new Map([["1", undefined]])],
      ["1", new Uint8Array([1, 2])],
    ]),
    empty: {},
    __proto__: null,
    first: shared,
    second: shared,
  };
  Object.defineProperty(data, "__proto__", { value: { polluted: "no" }, enumerable: true });
  const map = heap.from(data);
  assert.equal(map.get("first"), map.get("second"), "what is one object is one map");
  const copy = map.toJS();
  const list = [1, [2, [3]], new Map([["four", 4n]])];
  const same = new Map().set("same", [true, null]);
  assert.deepEqual(
    copy,
    new Map([
      ["text", "ä€\ud800"],
      ["list", list],
      ["map", data.map],
      ["empty", new Map()],
      ["first", same],
      ["second", same],
      ["__proto__", new Map([["polluted", "no"]])],
    ]),
  );
  assert.equal(copy.get("first"), copy.get("second"));
  map.get("list").at(2).delete("four");
  map.delete("map");
  const json = JSON.parse(JSON.stringify(map));
  assert.deepEqual(json.list, [1, [2, [3]], {}]);
  assert.ok(Object.hasOwn(json, "__proto__") && {}.polluted === undefined);
  // Other structures stand in plain data as they are.
  const [cell, fields, bytes] = [heap.cell(), heap.fields({ a: "1" }), heap.bytes(undefined, 2)];
  cell.set(5);
  const mixed = heap.from({ cell, in: [fields, { bytes }] });
  assert.equal(mixed.get("in").at(0), fields);
  assert.deepEqual(mixed.toJS().get("in")[0], [["a", "1"]]);
  assert.deepEqual(mixed.toJS().get("in")[1].get("bytes"), new Uint8Array(2));
  assert.deepEqual(JSON.parse(JSON.stringify(mixed)).in[1], { bytes: bytes.handle });
  assert.equal(JSON.parse(JSON.stringify(mixed)).cell, 5);
  await heap.audit();
});

test("structures_in_a_circle_are_shown_and_copied_and_refused_as_json", async () => {
  const heap = await SharedHeap.create();
  const before = await liveBytes(heap);
  const map = heap.map();
  const inner = heap.map().set("up", map);
  map.set("self", map).set("inner", inner);
  const copy = map.toJS();
  assert.equal(copy.get("self"), copy);
  assert.equal(copy.get("inner").get("up"), copy);
  assert.throws(() => JSON.stringify(map), TypeError);
  for (const depth of [0, 2, 8, null, Infinity]) assert.match(inspect(map, { depth }), /^SharedMap\(2\) \{/);
  assert.match(inspect(map, { depth: 2 }), /'inner' => SharedMap\(1\) \{ 'up' => \[Circular SharedMap\] \}/);
  assert.equal(inspect(map, { depth: 0 }), "SharedMap(2) { 'self' => [SharedMap], 'inner' => [SharedMap] }");
  inner.dispose();
  map.delete("self");
  map.delete("inner");
  map.dispose();
  assert.equal(await liveBytes(heap), before);
});

test("structure_has_at_most_65535_references", async () => {
  const heap = await SharedHeap.create();
  const [map, inner] = [heap.map(), heap.map()];
  const many = Array.from({ length: 65_535 }, (_, i) => [i, inner]);
  const error = refuses(() => map.setMany(many), "COHEAP_TOO_MANY_REFERENCES");
  assert.equal(error.details.maximum, 65_535);
  assert.equal(map.size, 65_534, "this agent's own is one of them");
  refuses(() => map.set("one more", inner), "COHEAP_TOO_MANY_REFERENCES");
  map.clear();
  map.set("one more", inner);
  await heap.audit();
});

test("structure_that_ends_while_it_is_read_is_read_again", async () => {
  const ROUNDS = 20_000;
  const heap = await SharedHeap.create();
  const before = await liveBytes(heap);
  // What an agent keeps of having had many objects goes with it.
  const reader = SharedHeap.attach(heap.token());
  const map = reader.map("m");
  const random = seededRandom();
  const agents = await Promise.all([1, 2].map(() => RemoteAgent.start(heap)));
  const churn = (theirs, rounds) => {
    const outer = theirs.map("m");
    for (let i = 0; i < rounds; i++) {
      const own = theirs.map();
      own.set("round", i % 1000);
      outer.set(i % 3, own);
      own.dispose();
    }
    outer.dispose();
  };
  const running = agents.map((remote) => remote.run(churn, ROUNDS));
  let read = 0;
  let done = false;
  Promise.all(running).then(() => {
    done = true;
  });
  while (!done) {
    for (let i = 0; i < 50; i++) {
      const key = random(3);
      const found = [map.get(key), ...map.getMany([key]), ...map.values()].filter((value) => value !== undefined);
      for (const inner of found) {
        // It is this agent's now: it stays what it is.
        assert.equal(inner.size, 1);
        assert.ok(inner.get("round") < 1000);
        read++;
      }
      for (const inner of new Set(found)) inner.dispose();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(running);
  await Promise.all(agents.map((remote) => remote.stop()));
  assert.ok(read > 0);
  heap.remove("m");
  reader.detach();
  assert.equal(await liveBytes(heap), before);
  cases("structure_that_ends_while_it_is_read_is_read_again", read);
});

test("structures_of_an_agent_that_ran_out_of_memory_are_all_given_back", async () => {
  const heap = await SharedHeap.create({ maximum: "4MiB" });
  const before = await liveBytes(heap);
  const data = { list: Array.from({ length: 2000 }, (_, i) => ({ i, text: "x".repeat(1000) })) };
  // What an agent keeps of having had many objects goes with it.
  const other = SharedHeap.attach(heap.token());
  const error = refuses(() => other.from(data), "COHEAP_OUT_OF_MEMORY");
  assert.ok(isCoheapError(error));
  other.from({ list: data.list.slice(0, 20) }).dispose();
  other.detach();
  assert.equal(await liveBytes(heap), before);
});

test("entries_are_set_all_or_none_when_one_of_them_is_none", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  const gone = heap.map();
  gone.dispose();
  const entries = Array.from({ length: 200 }, (_, i) => [i, i === 150 ? gone : i]);
  refuses(() => map.setMany(entries), "COHEAP_DISPOSED");
  assert.equal(map.size, 0);
});

test("key_that_lost_its_structure_is_inserted_by_getOrInsert", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const [map, theirs] = [heap.map("m"), other.map("m")];
  const inner = heap.map();
  map.set("k", inner);
  inner.dispose();
  // Between its answer and the opening of what it answers, another agent deletes the key.
  const { open } = theirs.place.wrappers;
  let stale = 0;
  theirs.place.wrappers.open = function (...given) {
    if (stale++ === 0) map.delete("k");
    return open.apply(this, given);
  };
  assert.equal(theirs.getOrInsert("k", "y"), "y");
  assert.equal(map.get("k"), "y");
  assert.equal(stale, 1);
});
