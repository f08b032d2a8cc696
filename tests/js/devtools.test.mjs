// What the formatter of "coheap/devtools" answers: HTML as arrays, in which objects are references that DevTools unfolds.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, watchdog, withExports } from "./support.mjs";

watchdog(60);

const other = { header: () => null };
globalThis.devtoolsFormatters = [other];
await import("../../js-host/dist/devtools.js");
const formatter = globalThis.devtoolsFormatters[1];

/** The header's text, which stands in one element. */
function header(value) {
  const [tag, attributes, text, ...rest] = formatter.header(value);
  assert.deepEqual([tag, attributes, rest], ["span", {}, []]);
  return text;
}

/** The rows of the body, each as its children: texts, and references as `{ object }`. */
function rows(value) {
  const [tag, attributes, ...rows] = formatter.body(value);
  assert.deepEqual([tag, attributes], ["div", {}]);
  return rows.map(childrenOf);
}

function childrenOf([tag, { style }, ...children]) {
  assert.deepEqual([tag, typeof style], ["div", "string"]);
  return children.map((child) => {
    if (typeof child === "string") return child;
    return child[0] === "object" ? child[1] : child[2];
  });
}

test("devtools_formatter_is_added_once_and_beside_others", async () => {
  const require = createRequire(import.meta.url);
  await import("../../js-host/dist/devtools.js?again");
  require("../../js-host/dist/devtools.cjs");
  assert.deepEqual(globalThis.devtoolsFormatters, [other, formatter]);
  const before = globalThis.devtoolsFormatters;
  globalThis.devtoolsFormatters = "none";
  await import("../../js-host/dist/devtools.js?alone");
  assert.equal(globalThis.devtoolsFormatters.length, 1);
  globalThis.devtoolsFormatters = before;
});

test("devtools_shows_what_objects_hold", async () => {
  const heap = await SharedHeap.create();
  const blocking = attach(heap.token());
  const nested = heap.from({ deep: 1 });
  const map = heap.map();
  map.set("a", 1).set(2, undefined).set("map", nested);
  const bytes = heap.bytes(undefined, 2);
  bytes.write(0, Uint8Array.of(7, 255));
  const table = [
    [
      map,
      "SharedMap(3)",
      [
        [{ object: "a" }, " => ", { object: 1 }],
        [{ object: 2 }, " => ", "undefined"],
        [{ object: "map" }, " => ", { object: nested }],
      ],
    ],
    [heap.cell(undefined, "text"), "SharedCell", [["value: ", { object: "text" }]]],
    [blocking.cell(undefined, null), "BlockingCell", [["value: ", { object: null }]]],
    [bytes, "SharedBytes(2)", ["0: 7", "1: 255"].map((text) => [text.slice(0, 3), { object: Number(text.slice(3)) }])],
    [
      heap.fields([
        ["A", "b"],
        ["C", ""],
      ]),
      "SharedFields(2)",
      [
        ["A: ", { object: "b" }],
        ["C: ", { object: "" }],
      ],
    ],
    [heap, "SharedHeap", Object.entries(heap.stats()).map(([name, object]) => [`${name}: `, { object }])],
    [blocking.map(), "SharedMap(0)", []],
    [heap.fields(), "SharedFields(0)", []],
    [heap.bytes(undefined, 0), "SharedBytes(0)", []],
  ];
  for (const [object, title, contents] of table) {
    assert.equal(header(object), title);
    assert.equal(formatter.hasBody(object), contents.length > 0, title);
    // The counters of the heap go on.
    if (object === heap) assert.deepEqual(rows(object).map(String), contents.map(String));
    else assert.deepEqual(rows(object), contents, title);
  }
  assert.equal(header(blocking), "BlockingHeap");
  assert.equal(rows(map)[2][2].object, nested, "the wrapper itself, which DevTools asks about again");
  cases("devtools_shows_what_objects_hold", table.length);
});

test("devtools_shows_the_first_hundred_items", async () => {
  const heap = await SharedHeap.create();
  const items = Array.from({ length: 250 }, (_, i) => i);
  const table = [
    [heap.from(new Map(items.entries())), "SharedMap(250)", "… 150 more"],
    [heap.from(items), "SharedList(250)", "… 150 more"],
    [heap.from(items.slice(0, 101)), "SharedList(101)", "… 1 more"],
    [heap.fields(items.map((i) => ["n", `${i}`])), "SharedFields(250)", "… 150 more"],
    [heap.bytes(undefined, 100_000), "SharedBytes(100000)", "… 99900 more"],
  ];
  for (const [object, title, more] of table) {
    assert.equal(header(object), title);
    const shown = rows(object);
    assert.equal(shown.length, 101);
    assert.deepEqual(shown[100], [more]);
  }
  assert.equal(rows(heap.from(items.slice(0, 100))).length, 100);
  cases("devtools_shows_the_first_hundred_items", table.length);
});

test("devtools_reads_contents_when_they_are_unfolded_and_not_before", async () => {
  let called = [];
  const counting = (exports) => {
    const counted = Object.entries(exports).map(([name, value]) => {
      if (typeof value !== "function") return [name, value];
      const call = (...given) => {
        called.push(name);
        return value(...given);
      };
      return [name, call];
    });
    return Object.fromEntries(counted);
  };
  const heap = await withExports(counting, () => SharedHeap.create());
  const inner = heap.from({ a: 1 });
  const objects = {
    coheap_map_size: heap.from({ inner }),
    coheap_list_get: heap.from([inner]),
    coheap_fields_lines: heap.fields([["a", "b"]]), // which are counted by reading them
    none: heap.bytes(undefined, 8),
    "none at all": heap.cell(undefined, "text"),
    "none either": heap,
  };
  for (const [expected, object] of Object.entries(objects)) {
    await null; // a turn of its own
    called = [];
    header(object);
    formatter.hasBody(object);
    const counts = called.filter((name) => !/^coheap_turn/.test(name));
    assert.deepEqual([...new Set(counts)], expected.startsWith("none") ? [] : [expected]);
  }
  const items = Array.from({ length: 10_000 }, (_, i) => i);
  const largest = { coheap_map_entries: heap.from(new Map(items.entries())), coheap_list_values: heap.from(items) };
  for (const [call, object] of Object.entries(largest)) {
    called = [];
    rows(object);
    const batches = called.filter((name) => name === call).length;
    assert.ok(batches >= 1 && batches <= 3, `${batches} batches`);
  }
  cases("devtools_reads_contents_when_they_are_unfolded_and_not_before", Object.keys(objects).length);
});

test("devtools_says_why_nothing_can_be_shown_and_never_throws", async () => {
  let exports;
  const keep = (made) => {
    exports = made;
    return made;
  };
  const heap = await SharedHeap.create();
  const makers = {
    SharedMap: (agent) => agent.from({ a: 1 }),
    SharedList: (agent) => agent.from([1]),
    SharedCell: (agent) => agent.cell(),
    SharedBytes: (agent) => agent.bytes(undefined, 8),
    SharedFields: (agent) => agent.fields([["a", "b"]]),
  };
  const says = (object, title, why) => {
    assert.equal(header(object), title);
    assert.deepEqual(childrenOf(formatter.body(object)), [why]);
  };
  let shown = 0;
  for (const [name, make] of Object.entries(makers)) {
    const agent = await withExports(keep, () => SharedHeap.attach(heap.token()));
    const [disposed, gone, kept] = [make(agent), make(agent), make(agent)];
    disposed.dispose();
    says(disposed, `${name} <disposed>`, "<disposed>");
    assert.equal(exports.coheap_release(gone.handle.index, gone.handle.generation), 0);
    assert.deepEqual(childrenOf(formatter.body(gone)), ["<stale handle>"]);
    agent.detach();
    says(kept, `${name} <detached>`, "<detached>");
    says(agent, "SharedHeap <detached>", "<detached>");
    for (const object of [disposed, kept, agent]) assert.equal(formatter.hasBody(object), false);
    shown += 4;
  }
  await heap.audit();
  cases("devtools_says_why_nothing_can_be_shown_and_never_throws", shown);
});

test("devtools_leaves_everything_else_to_devtools", async () => {
  const heap = await SharedHeap.create();
  const map = heap.from({ a: 1 });
  const fails = () => {
    throw new Proxy({}, { get: fails });
  };
  const values = [
    ...[undefined, null, 0, "text", Symbol.iterator, () => {}, {}, [], new Map(), Object.create(null)],
    ...[Object.getPrototypeOf(map), Object.getPrototypeOf(heap), new Proxy(map, {})],
    new Proxy(map, { get: fails }),
    new Proxy({}, { has: fails }),
    { [Symbol.for("coheap.shown")]: undefined, constructor: undefined },
    {
      get [Symbol.for("coheap.shown")]() {
        return fails();
      },
    },
  ];
  for (const value of values) {
    assert.equal(formatter.header(value), null);
    assert.equal(formatter.hasBody(value), false);
    assert.deepEqual(childrenOf(formatter.body(value)), ["<unreadable>"]);
  }
  cases("devtools_leaves_everything_else_to_devtools", values.length);
});
