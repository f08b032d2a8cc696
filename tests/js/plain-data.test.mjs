// Plain data on its way into maps and lists, and out of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, watchdog } from "./support.mjs";

watchdog(60);

test("map_of_plain_data_and_plain_data_of_a_map", async () => {
  const heap = await SharedHeap.create();
  const data = JSON.parse('{"__proto__": 1, "constructor": "two", "1": true, "": null}');
  const map = heap.from(data);
  assert.deepEqual([...map], Object.entries(data));
  assert.equal(JSON.stringify(map), JSON.stringify(data));
  assert.deepEqual(map.toJS(), new Map(Object.entries(data)));
  assert.deepEqual([...heap.from(Object.assign(Object.create(null), { a: 1n }))], [["a", 1n]]);
  assert.deepEqual([...heap.from(["a", undefined, Uint8Array.of(1)])], ["a", undefined, Uint8Array.of(1)]);
  assert.deepEqual([...heap.from(map.toJS())], [...map]);
  assert.deepEqual([...heap.from({}), ...heap.from([]), ...heap.from(new Map())], []);
  const both = heap.map();
  both.set(1, "number").set("1", "string").set("n", NaN).set("u", undefined);
  assert.equal(JSON.stringify({ both }), '{"both":{"1":"string","n":null}}');
  assert.equal(
    JSON.stringify(
      heap.fields([
        ["A", "b"],
        ["a", "c"],
      ]),
    ),
    '[["A","b"],["A","c"]]',
  );
  const cells = [1, "text", null, true].map((value) => heap.cell(undefined, value));
  assert.equal(JSON.stringify(cells), '[1,"text",null,true]');
  assert.throws(() => JSON.stringify(heap.cell(undefined, 1n)), TypeError);
  // Handles stay what names them.
  assert.equal(heap.open(JSON.parse(JSON.stringify(map.handle))), map);
});

test("plain_data_that_cannot_be_copied_in_is_refused_by_its_path_and_leaves_nothing", async () => {
  const heap = await SharedHeap.create();
  const live = async () => (await heap.audit()).liveBytes;
  const before = await live();
  const cycle = { in: {} };
  cycle.in.self = cycle;
  const named = [
    [{ a: 1, b: { c: new Date() } }, "Date (at data.b.c)"],
    [{ "a b": [1, { c: new WeakMap() }] }, 'object (at data["a b"][1].c)'],
    [[1, [2, Symbol("s")]], "symbol (at data[1][1])"],
    [[new Date()], "Date (at data[0])"],
    [{ f() {} }, "function (at data.f)"],
    [{ s: Symbol("s") }, "symbol (at data.s)"],
    [new Map([["k", new Set()]]), "Set (at data.k)"],
    [new Map([[7, new Map([["k", () => 1]])]]), "function (at data[7].k)"],
    [cycle, "object that contains itself (at data.in.self)"],
    [new Date(), "Date (at data)"],
    [new (class Point {})(), "object (at data)"],
    [{ n: new Number(8) }, "object (at data.n)"],
  ];
  for (const [data, type] of named) {
    const error = refuses(() => heap.from(data), "COHEAP_UNSUPPORTED_VALUE", type);
    assert.equal(error.details.type, type);
    assert.ok(error.message.includes(type));
  }
  for (const data of [undefined, null, 5, "text", true, 8n, Symbol("s"), () => ({}), heap.cell()]) {
    refuses(() => heap.from(data), "COHEAP_INVALID_ARGUMENT");
  }
  refuses(() => heap.from(new Map([[{}, 1]])), "COHEAP_INVALID_ARGUMENT");
  const thrown = new Error("by a getter");
  const throwing = {
    first: 1,
    get second() {
      throw thrown;
    },
  };
  assert.throws(() => heap.from(throwing), thrown);
  heap.map().dispose();
  assert.equal(await live(), before);
  const other = SharedHeap.attach(heap.token());
  other.detach();
  refuses(() => other.from({}), "COHEAP_DETACHED");
  cases("plain_data_that_cannot_be_copied_in_is_refused_by_its_path_and_leaves_nothing", named.length);
});
