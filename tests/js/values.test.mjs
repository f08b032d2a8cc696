import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(180);

const same = (a, b) =>
  Object.is(a, b) ||
  (a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]));

/** A string of `length` units that begins anywhere in `units`. */
const text = (length, units) => {
  let made = "";
  for (let i = 0; i < length; i++) made += String.fromCharCode(units[i % units.length]);
  return made;
};

/** Around every border: of a word, of an atom, of the ways in, of the transfer buffer, of classes, granules and runs. */
const lengths = [0, 1, 4, 5, 6, 7, 12, 13, 14, 63, 64, 65, 512, 513, 1024, 6143, 6144, 6145, 28_671, 28_673, 100_000];

function everyValue() {
  const values = [undefined, null, true, false, 0, -0, NaN, 1.5, -Infinity, 2 ** 53];
  const alphabets = {
    ascii: [0x61, 0x7a, 0],
    latin1: [0xff, 0x61, 0x80, 0xe9],
    wide: [0x100, 0x61, 0xffff, 0xfeff],
    surrogates: [0xd800, 0x61, 0xdc00, 0xd83d, 0xde00],
    backward: [0xdc00, 0xd800],
  };
  for (const units of Object.values(alphabets)) for (const length of lengths) values.push(text(length, units));
  // One that is not like the others, at the very end.
  for (const length of lengths) for (const last of ["\x80", "\u0100", "\ud800"]) values.push("a".repeat(length) + last);
  for (const length of lengths) values.push(Uint8Array.from({ length }, (_, i) => i * 7));
  for (const bits of [0n, 1n, 63n, 64n, 65n, 127n, 128n, 1000n, 98_303n, 98_304n, 300_000n]) {
    for (const value of [1n << bits, (1n << bits) - 1n]) values.push(value, -value);
  }
  values.push("content-type", "Content-Type", "__proto__", "constructor", `${"a".repeat(300_000)}é`);
  return values;
}

test("values_of_every_kind_come_out_as_they_went_in", async () => {
  const heap = await SharedHeap.create();
  const other = attach(heap.token());
  const values = everyValue();
  const cell = heap.cell();
  const mirror = other.open(cell.handle);
  const before = (await heap.audit()).liveBytes;
  for (const [i, value] of values.entries()) {
    const what = `value ${i}, a ${typeof value} of ${value?.length}`;
    cell.set(value);
    assert.ok(same(cell.get(), value), what);
    assert.ok(same(mirror.get(), value), `${what}, read by another`);
    assert.equal(cell.compareAndSet(value, value), true, `${what} is itself`);
    assert.equal(mirror.waitSync(value, 0), "timed-out", what);
    if (i % 16 === 0) await null;
  }
  cell.set(0);
  assert.equal((await heap.audit()).liveBytes, before, "what was replaced is free");
  cases("values_of_every_kind_come_out_as_they_went_in", values.length);
});

test("values_are_compared_by_kind_and_contents", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const values = [undefined, null, false, true, 0, -0, 1, NaN, 0n, 1n, -1n, 2n ** 70n, "", "0", "1", "null", "true"];
  values.push("a long text", "a long texu", "content-type", "é", "ééééééé", "\ud800", "\udc00", "\0", "\0\0");
  values.push(new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(49), new Uint8Array(20_000), "\0".repeat(20_000));
  let pairs = 0;
  for (const held of values) {
    for (const expected of values) {
      cell.set(held);
      assert.equal(cell.compareAndSet(expected, "then"), same(held, expected), `${typeof held}, ${typeof expected}`);
      assert.ok(same(cell.get(), same(held, expected) ? "then" : held));
      pairs++;
    }
    await null;
  }
  cases("values_are_compared_by_kind_and_contents", pairs);
});

test("values_under_random_operations_match_plain_ones", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const values = everyValue().filter((value) => !(value?.length > 7000));
  const pick = () => values[random(values.length)];
  const cells = Array.from({ length: 20 }, (_, i) => ({ cell: heap.cell(i % 2 ? `c${i}` : undefined), now: 0 }));
  const count = 50_000;
  for (let i = 0; i < count; i++) {
    const one = cells[random(cells.length)];
    const [value, expected] = [pick(), random(2) ? one.now : pick()];
    switch (random(4)) {
      case 0:
        one.cell.set(value);
        one.now = value;
        break;
      case 1:
        assert.equal(one.cell.compareAndSet(expected, value), same(one.now, expected));
        if (same(one.now, expected)) one.now = value;
        break;
      case 2:
        if (typeof one.now === "number") {
          one.now += 2;
          assert.ok(Object.is(one.cell.add(2), one.now));
        } else refuses(() => one.cell.add(2), "COHEAP_NOT_A_NUMBER");
        break;
      default:
        assert.ok(same(one.cell.get(), one.now));
    }
    if (i % 1000 === 0) await null;
  }
  for (const { cell, now } of cells) assert.ok(same(cell.get(), now));
  await heap.audit();
  cases("values_under_random_operations_match_plain_ones", count);
});

test("value_that_a_new_cell_is_given_is_its_first", async () => {
  const heap = await SharedHeap.create();
  for (const [i, value] of everyValue().entries()) {
    if (value === undefined) continue;
    const name = `cell ${i}`;
    assert.ok(same(heap.cell(name, value).get(), value), name);
    assert.ok(same(heap.cell(name, "another first value").get(), value), "it was there already");
    const anonymous = heap.cell(undefined, value);
    assert.ok(same(anonymous.get(), value));
    anonymous.dispose();
    heap.remove(name);
    await null;
  }
  assert.equal(heap.cell("plain").get(), 0);
  refuses(() => heap.bytes("plain", 0), "COHEAP_WRONG_TYPE");
  await heap.audit();
});

test("nan_of_every_payload_is_the_one_nan", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const bits = new DataView(new ArrayBuffer(8));
  const random = seededRandom();
  for (let i = 0; i < 10_000; i++) {
    for (const sign of [0x7ff0_0000, 0xfff0_0000]) {
      bits.setUint32(0, (sign | (i < 16 ? i : random(2 ** 20))) >>> 0);
      bits.setUint32(4, random(2 ** 32) | 1);
      const value = bits.getFloat64(0);
      cell.set(value);
      assert.ok(Number.isNaN(cell.get()) && typeof cell.get() === "number");
      assert.ok(
        cell.compareAndSet(NaN, value) && cell.compareAndSet(value, "text") && cell.compareAndSet("text", value),
      );
    }
    if (i % 1000 === 0) await null;
  }
  await heap.audit();
  cases("nan_of_every_payload_is_the_one_nan", 20_000);
});

test("nan_of_every_payload_is_the_one_nan_in_every_place", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const [map, kept, list, cell] = [heap.map("m"), heap.map("kept"), heap.list("l"), heap.cell("c")];
  const [mapThere, keptThere, listThere] = [other.map("m"), other.map("kept"), other.list("l")];
  kept.set("known", 1).set("sum", 1);
  for (let i = 0; i < 100; i++) for (const key of kept.keys()) kept.get(key); // their places are remembered from here on
  const random = seededRandom();
  const [numbers, bits] = [new Float64Array(4), new BigUint64Array(1)];
  const words = new BigUint64Array(numbers.buffer);
  let reads = 0;
  const isNaNOnly = (value, what) => {
    reads++;
    assert.ok(typeof value === "number" && Number.isNaN(value), `${what}: a ${typeof value}, ${String(value)}`);
  };
  const rounds = 2000;
  for (let round = 0; round < rounds; round++) {
    for (const sign of [0x7ff0n, 0xfff0n]) {
      // Tags stand in the highest bits of the payload: each of them, with anything behind it.
      const high = (sign << 48n) | (BigInt(round < 64 ? round % 16 : random(16)) << 48n);
      bits[0] = high | (BigInt(random(2 ** 16)) << 32n) | BigInt(random(2 ** 32) | 1);
      words.fill(bits[0]);
      const what = `bits ${bits[0].toString(16)}`;
      const nan = () => numbers.subarray(1)[random(3)]; // as an array of doubles has it
      map.clear();
      map.set("value", nan());
      map.setMany([
        ["many", nan()],
        ["more", nan()],
      ]);
      map.set(nan(), "found by NaN");
      map.set("sum", 1);
      isNaNOnly(map.add("sum", nan()), `${what} added`);
      map.set("tally", 1);
      map.addMany([
        ["tally", nan()],
        ["new", nan()],
      ]);
      kept.set("known", 1).set("sum", 1);
      kept.set("known", nan());
      isNaNOnly(kept.add("sum", nan()), `${what} added at a place`);
      for (const key of ["known", "sum"]) {
        isNaNOnly(kept.get(key), `${what} at the place of ${key}`);
        isNaNOnly(keptThere.get(key), `${what} at the place of ${key}, read by another`);
      }
      for (const key of ["value", "many", "more", "sum", "tally", "new"]) {
        isNaNOnly(map.get(key), `${what} at ${key}`);
        isNaNOnly(mapThere.get(key), `${what} at ${key}, read by another`);
        assert.ok(mapThere.compareAndSet(key, nan(), nan()), `${what} at ${key} is itself`);
      }
      assert.equal(map.get(NaN), "found by NaN", what);
      assert.equal(mapThere.get(nan()), "found by NaN", what);
      assert.equal([...map.keys()].filter((key) => Number.isNaN(key)).length, 1, what);
      assert.ok(mapThere.delete(nan()) && !map.has(NaN), what);
      list.clear();
      list.push(nan());
      list.pushMany([nan(), 1, 2]);
      list.set(2, nan());
      list.insert(3, nan());
      list.splice(4, 1, nan());
      for (let at = 0; at < 5; at++) isNaNOnly(listThere.at(at), `${what} at ${at} of a list`);
      for (const value of listThere) isNaNOnly(value, `${what} in an iteration`);
      const made = heap.from({ a: [nan()], b: new Map([[nan(), nan()]]) });
      isNaNOnly(made.get("a").at(0), `${what} from an array`);
      isNaNOnly(made.get("b").get(NaN), `${what} from a map`);
      isNaNOnly(made.toJS().get("a")[0], `${what} to an array`);
      cell.set(1);
      isNaNOnly(cell.add(nan()), `${what} added to a cell`);
    }
    if (round % 100 === 0) await null;
  }
  await heap.audit();
  cases("nan_of_every_payload_is_the_one_nan_in_every_place", reads);
});

test("add_to_what_is_no_number_is_refused_and_says_what_it_is", async () => {
  const heap = await SharedHeap.create();
  const found = { undefined: undefined, string: "a string", "bigint or Uint8Array": 1n };
  for (const [name, value] of Object.entries(found)) {
    const cell = heap.cell();
    cell.set(value);
    assert.match(refuses(() => cell.add(1), "COHEAP_NOT_A_NUMBER").details.found, new RegExp(name));
    assert.ok(same(cell.get(), value));
    cell.set(1);
    assert.equal(cell.add(1), 2);
  }
});

test("bytes_of_a_cell_are_private_copies_in_and_out", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const given = Uint8Array.of(1, 2, 3);
  cell.set(given);
  given[0] = 9;
  const got = cell.get();
  assert.ok(got.buffer instanceof ArrayBuffer);
  got[1] = 9;
  assert.deepEqual(cell.get(), Uint8Array.of(1, 2, 3));
  for (const bytes of [
    Buffer.from("abc"),
    vm.runInNewContext("Uint8Array.of(97, 98, 99)"),
    new Uint8Array(new SharedArrayBuffer(3)),
  ]) {
    cell.set(bytes);
    assert.deepEqual(cell.get(), new Uint8Array(bytes));
  }
});

test("value_that_finds_no_room_leaves_the_cell_as_it_was", async () => {
  const heap = await SharedHeap.create({ maximum: "2MiB" });
  const cell = heap.cell("c", "as it was");
  for (const value of ["x".repeat(3_000_000), new Uint8Array(3_000_000), "\ud800".repeat(2_000_000)]) {
    refuses(() => cell.set(value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => cell.compareAndSet("as it was", value), "COHEAP_OUT_OF_MEMORY");
    refuses(() => heap.cell("d", value), "COHEAP_OUT_OF_MEMORY");
    assert.equal(cell.get(), "as it was");
  }
  cell.set("x".repeat(200_000));
  assert.equal(cell.get().length, 200_000);
  await heap.audit();
});

test("wait_for_a_value_ends_with_another_one", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const waits = [
    "idle",
    "waiting for work",
    "é".repeat(300),
    undefined,
    null,
    7n,
    Uint8Array.of(1, 2),
    "x".repeat(40_000),
  ];
  for (const [i, old] of waits.entries()) {
    const cell = heap.cell(`w${i}`, old ?? 0);
    cell.set(old);
    const remote = agent.run((other, name, old) => other.cell(name).waitSync(old, 30_000), `w${i}`, old);
    const local = cell.waitAsync(old, { timeout: 30_000 });
    cell.set(structuredClone(old)); // the same value: nobody notices
    await new Promise((resolve) => setTimeout(resolve, 5));
    cell.set("busy now");
    assert.deepEqual([await local, await remote], ["changed", "changed"]);
    assert.equal(await cell.waitAsync(old), "changed");
    assert.equal(await cell.waitAsync("busy now", { timeout: 5 }), "timed-out");
  }
  await agent.stop();
  await heap.audit();
});
