import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, refuses, seededRandom, watchdog, withExports } from "./support.mjs";

watchdog(300);

const same = (a, b) =>
  Object.is(a, b) ||
  (a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]));

/** The language's own, with what a shared one has beside it. */
class PlainMap extends Map {
  getOrInsert(key, value) {
    if (!this.has(key)) this.set(key, value);
    return this.get(key);
  }

  add(key, delta = 1) {
    const old = this.has(key) ? this.get(key) : 0;
    if (typeof old !== "number") throw new TypeError("not a number");
    this.set(key, old + delta);
    return old + delta;
  }

  compareAndSet(key, expected, value) {
    if (!same(this.get(key), expected)) return false;
    if (value === undefined) this.delete(key);
    else this.set(key, value);
    return true;
  }

  getMany(keys) {
    return [...keys].map((key) => this.get(key));
  }

  setMany(entries) {
    for (const [key, value] of entries) this.set(key, value);
  }
}

const words = ["", "a", "ab", "five5", "sixsix", "content-type", "x".repeat(12), "y".repeat(13), "z".repeat(64)];
const strange = ["é", "éééééé", "é".repeat(40), "\u0100", "名前は長いです", "\ud800", "\udc00\ud800", "a\ud83d", "😀"];
const reserved = ["__proto__", "constructor", "toString", "hasOwnProperty", "1", "0", "-0", "NaN", "undefined", "\0"];
const numbers = [0, -0, 1, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53, 5e-324];
const keys = [...words, ...strange, ...reserved, ...numbers];
const values = [
  ...[undefined, null, true, false, 0, -0, NaN, 7, 1.5, -Infinity],
  ...[0n, -1n, 2n ** 64n, -(2n ** 200n)],
  ...["", "short", "text of some length", "é".repeat(9), "\u0100 wide", "\ud800", "content-type", "v".repeat(700)],
  ...[new Uint8Array(0), Uint8Array.of(1, 2, 3), new Uint8Array(500).fill(9)],
];

test("map_does_what_map_does_under_random_operations", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const pick = (list) => list[random(list.length)];
  const pairs = [{ shared: heap.map("one"), plain: new PlainMap() }];
  pairs.push({ shared: heap.map(), plain: new PlainMap() });
  /** Runs the same on both. */
  const both = ({ shared, plain }, act, what) => {
    const outcome = (map) => {
      try {
        return { value: act(map) };
      } catch (error) {
        return { threw: error instanceof TypeError || error.code === "COHEAP_NOT_A_NUMBER" };
      }
    };
    const [ours, theirs] = [outcome(shared), outcome(plain)];
    if (theirs.value === plain) assert.equal(ours.value, shared);
    else assert.deepStrictEqual(ours, theirs, what);
  };
  const iterators = [];
  const count = 1_000_000;
  for (let i = 0; i < count; i++) {
    const pair = pick(pairs);
    const [key, value] = [pick(keys), pick(values)];
    const what = `operation ${i}, key ${typeof key} ${String(key).slice(0, 20)}`;
    const operation = random(100);
    if (operation < 20) both(pair, (map) => map.get(key), what);
    else if (operation < 45) both(pair, (map) => map.set(key, value), what);
    else if (operation < 55) both(pair, (map) => map.delete(key), what);
    else if (operation < 58) both(pair, (map) => map.has(key), what);
    else if (operation < 60) both(pair, (map) => map.size, what);
    else if (operation < 66) both(pair, (map) => map.getOrInsert(key, value), what);
    else if (operation < 72) both(pair, (map) => map.add(key, 1.5), what);
    else if (operation < 78) {
      const expected = random(2) ? pair.plain.get(key) : value;
      const next = random(5) === 0 ? undefined : pick(values);
      both(pair, (map) => map.compareAndSet(key, expected, next), what);
    } else if (operation < 80) {
      const some = Array.from({ length: random(100) }, () => pick(keys));
      both(pair, (map) => map.getMany(some), what);
    } else if (operation < 81) {
      const some = Array.from({ length: random(100) }, () => [pick(keys), pick(values)]);
      both(pair, (map) => map.setMany(some), what);
    } else if (operation < 83) {
      const kind = pick(["keys", "values", "entries"]);
      if (iterators.length === 6) iterators.shift();
      iterators.push({ shared: pair.shared[kind](), plain: pair.plain[kind]() });
    } else if (operation < 97 && iterators.length > 0) both(pick(iterators), (iterator) => iterator.next(), what);
    else if (operation === 98) both(pair, (map) => [...map], what);
    else if (operation === 99 && random(20) === 0) both(pair, (map) => map.clear(), what);
    if (i % 500 === 0) await null;
  }
  for (const pair of pairs) {
    both(pair, (map) => [...map], "at the end");
    both(pair, (map) => map.clear(), "cleared");
    both(pair, (map) => [[...map], map.size], "empty");
  }
  await heap.audit();
  cases("map_does_what_map_does_under_random_operations", count);
});

/** What holds for both, told by the names of the checks. */
function conformance(make) {
  const seen = {};
  const check = (name, value) => {
    seen[name] = value;
  };
  const map = make();
  check("set answers the map", map.set("a", 1) === map);
  check("get", [map.get("a"), map.get("b")]);
  check("undefined is a value", [map.set("u", undefined).has("u"), map.get("u"), map.size]);
  check("-0 is 0 as a key", [map.set(-0, "zero").get(0), [...map.keys()].map((key) => Object.is(key, -0))]);
  check("NaN is one key", [map.set(NaN, 1).set(NaN, 2).get(NaN), map.size]);
  check("1 is not '1'", [map.set(1, "number").set("1", "string").get(1), map.get("1")]);
  check("reserved names are keys", [
    map.get("__proto__"),
    map.set("__proto__", 5).get("__proto__"),
    map.has("toString"),
  ]);
  check("delete", [map.delete("a"), map.delete("a"), map.has("a")]);
  map.set("a", "again");
  check("an entry that comes again comes last", [...map.keys()].at(-1));
  check("an entry that is set stays where it is", [...map.set(1, 0).keys()]);
  const calls = [];
  const self = {};
  map.forEach(function (value, key, target) {
    calls.push([value, key, target === map, this === self]);
  }, self);
  check("forEach", calls);
  check("iterators", [[...map.keys()], [...map.values()], [...map.entries()], [...map]]);
  const iterator = map[Symbol.iterator]();
  check("an iterator is its own iterable", iterator[Symbol.iterator]() === iterator);
  check("and has what iterators have", typeof iterator.map === typeof new Map().keys().map);
  for (const _ of iterator) if (map.size < 100) map.set(`added ${map.size}`, map.size);
  check("what is added while iterating is seen", map.size);
  check("and an iterator that ended has ended", [iterator.next(), map.set("late", 1) && iterator.next()]);
  const left = [];
  for (const [key] of map) {
    left.push(key);
    map.delete(key);
    map.delete(`added ${map.size}`);
  }
  check("what is deleted while iterating is not seen", [left, map.size]);
  map.set("x", 1).set("y", 2);
  const cleared = [];
  for (const [key] of map) {
    cleared.push(key);
    if (cleared.length === 1) map.clear();
    if (cleared.length < 5) map.set(`after ${cleared.length}`, 0);
  }
  check("what comes after a clear is seen", cleared);
  const replaced = [];
  for (let i = 0; i < 10; i++) map.set(i, i);
  for (const [key, value] of map) {
    replaced.push(value);
    map.set(key + 1, "new");
    if (map.size > 30) break;
  }
  check("the value is the one of the moment", replaced);
  map.clear();
  check("clear", [map.size, [...map], map.get("x"), map.clear()]);
  return seen;
}

test("map_conforms_to_map", async () => {
  const heap = await SharedHeap.create();
  const plain = conformance(() => new Map());
  const shared = conformance(() => heap.map());
  assert.deepStrictEqual(shared, plain);
  assert.equal(Object.prototype.toString.call(heap.map()), "[object SharedMap]");
  assert.equal(Object.prototype.toString.call(heap.map().keys()), "[object SharedMap Iterator]");
  for (const name of ["get", "has", "set", "delete", "clear", "forEach", "keys", "values", "entries"]) {
    assert.equal(typeof heap.map()[name], "function");
    assert.equal(heap.map()[name].length, Map.prototype[name].length + (name === "forEach" ? 1 : 0), name);
  }
  cases("map_conforms_to_map", Object.keys(plain).length);
});

/** Around every border: of a word, of the ways in, of a crossing, of the transfer buffer. */
const lengths = [
  0, 4, 5, 6, 12, 13, 63, 64, 65, 512, 513, 3000, 6143, 6144, 6145, 12_288, 14_336, 28_600, 28_672, 60_000,
];

test("map_keys_and_values_of_every_length_come_out_as_they_went_in", async () => {
  const heap = await SharedHeap.create();
  const other = attach(heap.token());
  const map = heap.map("m");
  const mirror = other.map("m");
  const before = (await heap.audit()).liveBytes;
  const plain = new Map();
  for (const unit of ["k", "é", "名", "\ud800"]) {
    for (const length of lengths) {
      const key = unit.repeat(length);
      const value = unit === "k" ? Uint8Array.from({ length }, (_, i) => i * 7) : `${key}|`;
      map.set(key, value);
      plain.set(key, value);
      assert.ok(same(mirror.get(key), value), `a key of ${length} ${unit}`);
      assert.ok(map.compareAndSet(key, value, 1) && map.compareAndSet(key, 1, value));
      assert.ok(same(mirror.getOrInsert(key, 0), value));
      await null;
    }
  }
  for (const length of [2000, 30_000]) plain.set(length, -(1n << BigInt(8 * length)));
  map.setMany(plain);
  assert.deepEqual([...mirror], [...plain]);
  assert.deepEqual(mirror.getMany([...plain.keys(), "none"]), [...plain.values(), undefined]);
  assert.deepEqual(mirror.toJS(), plain);
  for (const key of plain.keys()) assert.ok(mirror.delete(key), String(key).length);
  assert.equal(map.size, 0);
  map.clear();
  mirror.clear();
  await null;
  const after = (await heap.audit()).liveBytes;
  assert.ok(after <= before + 1024, `${after - before} bytes are left of an empty map`);
  cases("map_keys_and_values_of_every_length_come_out_as_they_went_in", plain.size);
});

test("map_that_is_read_again_and_again_is_what_others_made_of_it", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const random = seededRandom();
  const [reader, writer] = [heap.map("m"), other.map("m")];
  const plain = new Map();
  const names = Array.from({ length: 60 }, (_, i) => (i % 3 ? `a key of a block ${i}` : i));
  // Of one size, so that a block is used again at once.
  const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(40));
  const some = [...texts, ...texts, 1, 2, -0, NaN, "short", undefined, null, true, 7n, Uint8Array.of(5)];
  const count = 60_000;
  for (let i = 0; i < count; i++) {
    const key = names[random(names.length)];
    const step = random(1000);
    if (step < 450) {
      // Several times, so that the block is back that was read before, with other contents.
      for (let times = random(6); times >= 0; times--) {
        const value = some[random(some.length)];
        writer.set(key, value);
        plain.set(key, value);
      }
    } else if (step < 600) assert.equal(writer.delete(key), plain.delete(key));
    else if (step < 602) {
      writer.clear();
      plain.clear();
    }
    for (let read = 0; read < 3; read++) {
      const asked = names[(i + read) % names.length];
      assert.ok(same(reader.get(asked), plain.get(asked)), `${asked} at ${i} is ${reader.get(asked)}`);
      assert.ok(same(reader.get(key), plain.get(key)), `${key} at ${i} is ${reader.get(key)}`);
    }
    if (i % 500 === 0) await null;
  }
  assert.deepEqual([...reader], [...plain]);
  await heap.audit();
  cases("map_that_is_read_again_and_again_is_what_others_made_of_it", 6 * count);
});

test("map_of_a_name_is_one_map", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const map = heap.map("sessions");
  assert.equal(heap.map("sessions"), map);
  assert.notEqual(heap.map(), heap.map());
  map.set("a", 1);
  assert.equal(other.map("sessions").get("a"), 1);
  assert.equal(other.open(map.handle), other.map("sessions"));
  for (const make of [(name) => heap.cell(name), (name) => heap.fields(name), (name) => heap.bytes(name, 8)]) {
    refuses(() => make("sessions"), "COHEAP_WRONG_TYPE");
  }
  heap.cell("c");
  const { details } = refuses(() => heap.map("c"), "COHEAP_WRONG_TYPE");
  assert.deepEqual(details, { expected: "map", found: "cell" });
  const moved = heap.map();
  moved.set("a", 1);
  assert.equal(other.open(moved.move()).get("a"), 1);
  assert.equal(heap.remove("sessions"), true);
  map.set("a", 2);
  assert.equal(other.open(map.handle).get("a"), 2);
  assert.equal(heap.map("sessions").size, 0);
  await heap.audit();
});

test("map_that_ended_refuses_every_call", async () => {
  const heap = await SharedHeap.create();
  const calls = {
    size: (map) => map.size,
    get: (map) => map.get("a"),
    has: (map) => map.has("a"),
    set: (map) => map.set("a", 1),
    delete: (map) => map.delete("a"),
    clear: (map) => map.clear(),
    getOrInsert: (map) => map.getOrInsert("a", 1),
    add: (map) => map.add("a"),
    compareAndSet: (map) => map.compareAndSet("a", 1, 2),
    getMany: (map) => map.getMany(["a"]),
    "getMany of none": (map) => map.getMany([]),
    setMany: (map) => map.setMany([["a", 1]]),
    "setMany of none": (map) => map.setMany([]),
    entries: (map) => map.entries(),
    keys: (map) => map.keys(),
    values: (map) => map.values(),
    iterator: (map) => [...map],
    forEach: (map) => map.forEach(() => {}),
    toJS: (map) => map.toJS(),
    toJSON: (map) => JSON.stringify(map),
    move: (map) => map.move(),
  };
  let exports;
  const keep = (made) => {
    exports = made;
    return made;
  };
  const ends = {
    COHEAP_DISPOSED: (map) => map.dispose(),
    // As a dispose does that an exception left at its very end.
    COHEAP_STALE_HANDLE: ({ handle }) => assert.equal(exports.coheap_release(handle.index, handle.generation), 0),
    COHEAP_DETACHED: (_, agent) => agent.detach(),
  };
  let ran = 0;
  for (const [code, end] of Object.entries(ends)) {
    for (const [name, call] of Object.entries(calls)) {
      const agent = await withExports(keep, () => SharedHeap.attach(heap.token()));
      const map = agent.map();
      map.setMany([
        ["a", 1],
        ["b", "two"],
      ]);
      const open = map.entries();
      open.next();
      end(map, agent);
      refuses(() => call(map), code, `${name} ${code}`);
      if (code === "COHEAP_DISPOSED") refuses(() => open.next(), code);
      agent.detach();
      ran++;
    }
    await null;
  }
  await heap.audit();
  cases("map_that_ended_refuses_every_call", ran);
});

test("map_that_finds_no_room_is_as_it_was", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const map = heap.map("m");
  map.set("a", "as it was");
  const large = ["x".repeat(3_000_000), new Uint8Array(3_000_000), "\ud800".repeat(2_000_000)];
  for (const value of large) {
    refuses(() => map.set("a", value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => map.set("b", value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => map.getOrInsert("b", value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => map.compareAndSet("a", "as it was", value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => map.setMany([["b", value]]), "COHEAP_OUT_OF_MEMORY");
    if (typeof value === "string") refuses(() => map.set(value, 1), "COHEAP_OUT_OF_MEMORY");
    const before = (await heap.audit()).liveBytes;
    refuses(() => heap.from({ first: "x".repeat(1000), value, last: 1 }), "COHEAP_OUT_OF_MEMORY");
    assert.equal((await heap.audit()).liveBytes, before, "nothing is left of what could not be copied in");
    assert.deepEqual([...map], [["a", "as it was"]]);
  }
  map.set("a", "x".repeat(200_000));
  assert.equal(map.get("a").length, 200_000);
  await heap.audit();
});

test("map_calls_whose_arguments_use_the_heap_do_what_they_say", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  const busy = heap.cell(undefined, "z".repeat(20_000));
  let asked = 0;
  const disturb = () => {
    asked++;
    busy.get();
    map.set(`by a getter ${asked % 3}`, "y".repeat(5000));
    map.getMany(["a", "b"]);
  };
  function* entries() {
    for (let i = 0; i < 200; i++) {
      disturb();
      yield [`key ${i}`, `value ${i}`];
    }
  }
  map.setMany(entries());
  for (let i = 0; i < 200; i++) assert.equal(map.get(`key ${i}`), `value ${i}`);
  function* names() {
    for (let i = 0; i < 200; i++) {
      disturb();
      yield `key ${i}`;
    }
  }
  assert.deepEqual(
    map.getMany(names()),
    Array.from({ length: 200 }, (_, i) => `value ${i}`),
  );
  const data = {};
  for (let i = 0; i < 100; i++) {
    Object.defineProperty(data, `property ${i}`, {
      enumerable: true,
      get: () => {
        disturb();
        return i;
      },
    });
  }
  assert.deepEqual([...heap.from(data).values()], [...new Array(100).keys()]);
  map.forEach((value, key) => {
    disturb();
    if (key.startsWith("key")) assert.equal(value, `value ${key.slice(4)}`);
  });
  // An iterable that fails in the middle has set nothing.
  const size = map.size;
  function* failing() {
    yield ["new", 1];
    throw new Error("in the middle");
  }
  assert.throws(() => map.setMany(failing()), /in the middle/);
  refuses(
    () =>
      map.setMany([
        ["new", 1],
        ["bad", {}],
      ]),
    "COHEAP_UNSUPPORTED_VALUE",
  );
  refuses(
    () =>
      map.setMany([
        ["new", 1],
        [{}, 1],
      ]),
    "COHEAP_INVALID_ARGUMENT",
  );
  assert.deepEqual([map.size, map.has("new")], [size, false]);
  await heap.audit();
  cases("map_calls_whose_arguments_use_the_heap_do_what_they_say", asked);
});

test("map_adds_what_numbers_add_and_refuses_what_is_none", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  let sums = 0;
  for (const a of numbers) {
    for (const b of numbers) {
      map.set("sum", a);
      assert.ok(Object.is(map.add("sum", b), a + b), `${a} + ${b}`);
      assert.ok(Object.is(map.get("sum"), a + b));
      sums++;
    }
    map.delete("sum");
    assert.ok(Object.is(map.add("sum", a), 0 + a));
  }
  assert.deepEqual([map.add("one"), map.add("one")], [1, 2]);
  const found = { undefined: undefined, string: "a string", "bigint or Uint8Array": 1n };
  for (const [name, value] of Object.entries(found)) {
    map.set("v", value);
    assert.match(refuses(() => map.add("v"), "COHEAP_NOT_A_NUMBER").details.found, new RegExp(name));
    assert.ok(same(map.get("v"), value));
  }
  cases("map_adds_what_numbers_add_and_refuses_what_is_none", sums);
});

test("map_walk_that_has_read_ahead_sees_what_its_agent_changed_by_any_call", async () => {
  const heap = await SharedHeap.create();
  const calls = {
    set: (map) => map.set("k7", 70),
    "set of a key that is remembered": (map) => map.get("k7") && map.get("k7") && map.set("k7", 70),
    add: (map) => map.add("k7", 63),
    "add to a key that is remembered": (map) => map.get("k7") && map.get("k7") && map.add("k7", 63),
    addMany: (map) => map.addMany([["k7", 63]]),
    compareAndSet: (map) => map.compareAndSet("k7", 7, 70),
    setMany: (map) => map.setMany([["k7", 70]]),
    "delete and getOrInsert": (map) => map.delete("k7") && map.getOrInsert("k7", 70),
    "clear and set": (map) => map.clear() ?? map.set("k7", 70),
  };
  for (const [name, call] of Object.entries(calls)) {
    // One in eight keys that are read is remembered.
    for (let reads = 0; reads < 8; reads++) {
      const map = heap.map();
      map.setMany(Array.from({ length: 40 }, (_, i) => [`k${i}`, i]));
      for (let i = 0; i < reads; i++) map.get("k0");
      const walk = map.entries();
      assert.deepEqual(walk.next().value, ["k0", 0]);
      call(map);
      assert.equal(new Map(walk).get("k7"), 70, name);
      map.dispose();
    }
  }
  cases("map_walk_that_has_read_ahead_sees_what_its_agent_changed_by_any_call", 8 * Object.keys(calls).length);
});
