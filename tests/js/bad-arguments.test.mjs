import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, wasmBytes, watchdog } from "./support.mjs";

watchdog(120);

let ran = 0;
const trap = {
  valueOf: () => ++ran,
  toString: () => `${++ran}`,
  [Symbol.toPrimitive]: () => ++ran,
};
const notNumbers = [undefined, null, "8", "", true, {}, [], [8], trap, 8n, Symbol("s"), () => 8, new Number(8)];
const notSizes = [...notNumbers, NaN, 1.5, -1, Infinity, -Infinity, 2 ** 32 + 1, 2 ** 53, Number.MIN_VALUE];
const BAD = "COHEAP_INVALID_ARGUMENT";

/** Runs each [call, code]; a code of undefined means that the call is accepted. */
async function table(name, heap, rows) {
  for (const [call, code, message] of rows) {
    if (code === undefined) await call();
    else await refuses(call, code, message ?? String(call));
  }
  assert.equal(ran, 0, "an argument's own code ran");
  await heap.audit();
  cases(name, rows.length);
}

test("bad_values_are_refused_by_a_text_that_helps_with_each", async () => {
  const heap = await SharedHeap.create();
  const [cell, map] = [heap.cell(), heap.map()];
  const code = "COHEAP_UNSUPPORTED_VALUE";
  const text = (call) => refuses(call, code).message;
  const plain = text(() => map.set("a", { b: 1 }));
  assert.match(plain, /type object .* maps and lists.* take what heap\.from\(value\) makes/s);
  map.set("a", heap.from({ b: 1 }));
  // What does not help a cell is not advised for it: nor for what heap.from refuses, too.
  assert.match(
    text(() => cell.set({ b: 1 })),
    /maps and lists, and no cells/,
  );
  refuses(() => cell.set(heap.from({ b: 1 })), code);
  const hopeless = { function: () => 1, symbol: Symbol("s"), Date: new Date(), Set: new Set() };
  for (const [type, value] of Object.entries(hopeless)) {
    const message = text(() => heap.from([value]));
    assert.match(
      message,
      new RegExp(`type ${type} .*Nothing takes functions, symbols and other objects, Date and Set`, "s"),
    );
    refuses(() => map.set("a", value), code);
    refuses(() => cell.set(value), code);
  }
  await heap.audit();
});

test("bad_values_of_a_cell_are_refused", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const code = "COHEAP_UNSUPPORTED_VALUE";
  const rows = [];
  const detached = new Uint8Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  for (const value of [
    {},
    [],
    [8],
    trap,
    Symbol("s"),
    () => 8,
    new Number(8),
    new Date(),
    new Map(),
    new Int8Array(1),
  ]) {
    rows.push(
      [() => cell.set(value), code],
      [() => heap.cell(undefined, value), code],
      [() => heap.cell("n", value), code],
    );
    rows.push([() => cell.compareAndSet(value, 1), code], [() => cell.compareAndSet(0, value), code]);
    rows.push([() => cell.compareAndSet("other", value), code], [() => cell.waitAsync(value), code]);
  }
  rows.push([() => cell.set(detached), BAD]);
  for (const value of notNumbers) {
    if (value !== undefined) rows.push([() => cell.add(value), BAD]);
    if (value !== undefined) rows.push([() => cell.waitAsync(0, { timeout: value }), BAD]);
    if (value !== undefined) rows.push([() => cell.waitAsync(0, { signal: value }), BAD]);
  }
  const deaf = { aborted: false, addEventListener() {} };
  rows.push([() => cell.waitAsync(0, { timeout: 1, signal: deaf }), BAD]);
  for (const value of [NaN, -1, -Infinity]) rows.push([() => cell.waitAsync(0, { timeout: value }), BAD]);
  for (const value of [null, 5, "x", true, Symbol("s")]) rows.push([() => cell.waitAsync(0, value), BAD]);
  await table("bad_values_of_a_cell_are_refused", heap, rows);
  assert.equal(cell.get(), 0);
  assert.match(refuses(() => cell.set({}), code).message, /heap\.from\(value\)/);
  assert.equal(heap.remove("n"), false);
});

test("bad_keys_and_values_of_a_map_are_refused", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  map.set("a", 1).set("", "empty");
  const rows = [];
  for (const key of [
    undefined,
    null,
    true,
    8n,
    {},
    [],
    ["a"],
    trap,
    Symbol("a"),
    () => "a",
    new String("a"),
    new Date(),
  ]) {
    rows.push([() => map.get(key), BAD], [() => map.has(key), BAD], [() => map.delete(key), BAD]);
    rows.push([() => map.set(key, 1), BAD], [() => map.getOrInsert(key, 1), BAD], [() => map.add(key), BAD]);
    rows.push([() => map.compareAndSet(key, undefined, 1), BAD], [() => map.getMany(["a", key]), BAD]);
    rows.push([() => map.setMany(new Map([["b", 1]]).set(key, 1)), BAD]);
    // Both are wrong: it is the key that is named.
    rows.push([() => map.set(key, {}), BAD], [() => map.setMany([[key, {}]]), BAD]);
  }
  const code = "COHEAP_UNSUPPORTED_VALUE";
  for (const value of [{}, [], [8], trap, Symbol("s"), () => 8, new Number(8), new Date(), new Map()]) {
    rows.push([() => map.set("a", value), code], [() => map.set("b", value), code]);
    rows.push([() => map.getOrInsert("a", value), code], [() => map.getOrInsert("b", value), code]);
    rows.push([() => map.compareAndSet("a", value, 1), code], [() => map.compareAndSet("a", 1, value), code]);
    rows.push([
      () =>
        map.setMany([
          ["b", 1],
          ["c", value],
        ]),
      code,
    ]);
  }
  for (const value of [Symbol("s"), () => 8, new Number(8), new Date()])
    rows.push([() => heap.from({ b: 1, c: [value] }), code]);
  const detached = new Uint8Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  rows.push(
    [() => map.set("a", detached), BAD],
    [
      () =>
        map.setMany([
          ["b", 1],
          ["c", detached],
        ]),
      BAD,
    ],
  );
  for (const value of notNumbers) if (value !== undefined) rows.push([() => map.add("a", value), BAD]);
  rows.push([() => map.add(""), "COHEAP_NOT_A_NUMBER"]);
  for (const value of [undefined, null, 5, "ab", true, {}, trap, Symbol("s"), () => []]) {
    rows.push([() => map.getMany(value), BAD], [() => map.setMany(value), BAD]);
    rows.push([() => map.setMany([value]), BAD], [() => map.setMany([["b", 1], [], value]), BAD]);
    if (typeof value !== "function") rows.push([() => map.forEach(value), BAD]);
  }
  for (const entry of [[], ["b"], ["b", 1, 2], { 0: "b", 1: 1, length: 2 }])
    rows.push([() => map.setMany([entry]), BAD]);
  for (const name of [null, 5, "", "\ud800", {}]) rows.push([() => heap.map(name), BAD]);
  await table("bad_keys_and_values_of_a_map_are_refused", heap, rows);
  assert.deepEqual(
    [...map],
    [
      ["a", 1],
      ["", "empty"],
    ],
  );
});

test("bad_sizes_and_ranges_of_bytes_are_refused", async () => {
  const heap = await SharedHeap.create();
  const block = heap.bytes("b", 100);
  const one = new Uint8Array(1);
  const rows = [];
  for (const size of [...notSizes, 2 ** 32])
    rows.push([() => heap.bytes("c", size), BAD, `bytes("c", ${String(size?.constructor?.name)})`]);
  rows.push([() => heap.bytes("c", 2 ** 32 - 1), "COHEAP_OUT_OF_MEMORY"]);
  for (const offset of notSizes) {
    rows.push([() => block.write(offset, one), BAD]);
    if (offset === undefined) continue;
    rows.push([() => block.read(offset, 1), BAD], [() => block.read(0, offset), BAD]);
    rows.push([() => block.sum(offset, 1), BAD], [() => block.sum(0, offset), BAD]);
  }
  for (const [offset, length] of [
    [0, 101],
    [101, 0],
    [100, 1],
    [1, 100],
    [2 ** 32 - 1, 2],
    [2 ** 32, 0],
    [4, 2 ** 32],
  ]) {
    rows.push(
      [() => block.read(offset, length), "COHEAP_OUT_OF_RANGE"],
      [() => block.sum(offset, length), "COHEAP_OUT_OF_RANGE"],
    );
  }
  rows.push([() => block.read(101), "COHEAP_OUT_OF_RANGE"], [() => block.write(100, one), "COHEAP_OUT_OF_RANGE"]);
  const detached = new Uint8Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  for (const source of [
    undefined,
    null,
    5,
    "abc",
    [1],
    {},
    { length: 1 },
    new ArrayBuffer(1),
    new Int8Array(1),
    new DataView(new ArrayBuffer(1)),
    new Uint8ClampedArray(1),
    detached,
  ]) {
    rows.push([() => block.write(0, source), BAD]);
  }
  class Liar extends Uint8Array {
    get length() {
      return ++ran;
    }
    get byteLength() {
      return ++ran;
    }
    subarray() {
      ran++;
      return this;
    }
  }
  rows.push([() => block.write(0, new Liar(4))], [() => block.write(0, Buffer.from("abc"))]);
  rows.push(
    [() => block.write(0, vm.runInNewContext("new Uint8Array(3)"))],
    [() => block.write(100, new Uint8Array(0))],
  );
  rows.push([() => block.read(100)], [() => block.read(-0, 0)], [() => heap.bytes("empty", 0).read()]);
  await table("bad_sizes_and_ranges_of_bytes_are_refused", heap, rows);
});

test("bad_names_are_refused", async () => {
  const heap = await SharedHeap.create();
  const rows = [];
  for (const name of [
    null,
    5,
    true,
    {},
    [],
    trap,
    5n,
    Symbol("s"),
    "",
    "\ud800",
    "a\udc00b",
    "x".repeat(1025),
    "ä".repeat(513),
    "x".repeat(1e6),
  ]) {
    rows.push([() => heap.cell(name), BAD], [() => heap.bytes(name, 1), BAD], [() => heap.remove(name), BAD]);
  }
  rows.push(
    [() => heap.remove(undefined), BAD],
    [() => heap.cell("x".repeat(1024))],
    [() => heap.cell("ä".repeat(512))],
  );
  await table("bad_names_are_refused", heap, rows);
});

test("bad_options_are_refused", async () => {
  const heap = await SharedHeap.create();
  const rows = [];
  const create = (options) => () => SharedHeap.create(options);
  for (const options of [null, 5, "x", true, Symbol("s")])
    rows.push([create(options), BAD], [() => heap.audit(options), BAD]);
  for (const maximum of [
    ...notSizes,
    "",
    "64",
    "64MB",
    "64 MiB",
    "-64MiB",
    "1e3MiB",
    "64.MiB",
    ".5GiB",
    "1..5GiB",
    "MiB",
    "64toS",
    "0x10MiB",
    "5GiB",
    "1023KiB",
    0,
    1,
    65_536,
    2 ** 20 - 1,
  ]) {
    if (maximum !== undefined) rows.push([create({ maximum }), BAD]);
  }
  for (const fixed of [null, 0, 1, "true", {}, Symbol("s")]) rows.push([create({ fixed }), BAD]);
  for (const wasm of [null, 0, "./heap.wasm", {}, [], Symbol("s"), Promise.resolve(5)])
    rows.push([create({ wasm }), BAD]);
  const missing = "COHEAP_WASM_UNAVAILABLE";
  rows.push(
    [create({ wasm: new Uint8Array(4) }), missing],
    [create({ wasm: new TextEncoder().encode("<html>") }), missing],
  );
  rows.push(
    [create({ wasm: new URL("./missing.wasm", import.meta.url) }), missing],
    [create({ wasm: new URL("http://127.0.0.1:1/heap.wasm") }), missing],
  );
  rows.push(
    [create({ wasm: new Response("gone", { status: 404 }) }), missing],
    [() => SharedHeap.create({ wasm: Promise.reject(new Error("offline")) }), missing],
  );
  for (const timeout of [null, "5", -1, NaN, {}, 5n]) rows.push([() => heap.audit({ timeout }), BAD]);
  for (const maximum of [2 ** 20, 2 ** 20 + 1, "1MiB", "1.5MiB", "2048KiB", "1GiB", "4GiB", 2 ** 32])
    rows.push([create({ maximum })]);
  const bytes = wasmBytes();
  const module = new WebAssembly.Module(bytes);
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  for (const wasm of [
    module,
    bytes,
    new Uint8Array(bytes),
    whole,
    new URL("../../js-host/dist/heap.wasm", import.meta.url),
    new Response(bytes),
    Promise.resolve(new Response(bytes)),
  ]) {
    rows.push([create({ wasm, maximum: "1MiB" })]);
  }
  rows.push(
    [create({ maximum: "2MiB", fixed: true })],
    [create(undefined)],
    [create({ maximum: undefined, fixed: undefined, wasm: undefined })],
  );
  Object.prototype.maximum = "nonsense";
  Object.prototype.timeout = "nonsense";
  try {
    await table("bad_options_are_refused", heap, rows);
    await (await SharedHeap.create({})).cell().waitAsync(1, {});
  } finally {
    delete Object.prototype.maximum;
    delete Object.prototype.timeout;
  }
});

test("refused_maximum_is_an_error_and_a_refused_default_is_made_smaller", async () => {
  const { Memory } = WebAssembly;
  const asked = [];
  let granted = 64 * 16;
  WebAssembly.Memory = class extends Memory {
    constructor(limits) {
      asked.push(limits.maximum);
      if (limits.maximum > granted) throw new RangeError("could not allocate memory");
      super(limits);
    }
  };
  try {
    const error = await refuses(() => SharedHeap.create({ maximum: "128MiB" }), "COHEAP_MAXIMUM_REFUSED");
    assert.deepEqual(error.details, { maximum: 2 ** 27, reason: "could not allocate memory" });
    asked.length = 0;
    const heap = await SharedHeap.create();
    assert.deepEqual(asked, [4096, 2048, 1024]);
    assert.equal(heap.cell("x").add(2), 2);
    granted = 0;
    await refuses(() => SharedHeap.create(), "COHEAP_MAXIMUM_REFUSED");
  } finally {
    WebAssembly.Memory = Memory;
  }
  cases("refused_maximum_is_an_error_and_a_refused_default_is_made_smaller", 3);
});

test("constructors_that_users_can_reach_make_nothing", async () => {
  const heap = await SharedHeap.create();
  assert.throws(() => new SharedHeap(), TypeError);
  assert.throws(() => new SharedHeap({ calls: {} }), TypeError);
  assert.throws(() => new heap.constructor(heap), TypeError);
});

test("is_coheap_error_never_throws", () => {
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error("no");
      },
    },
  );
  for (const value of [undefined, null, 5, "x", {}, new Error("x"), hostile, Symbol("s")])
    assert.equal(isCoheapError(value), false);
  const error = refuses(() => SharedHeap.attach({}), "COHEAP_INVALID_TOKEN");
  assert.ok(error instanceof Error);
  assert.equal(error.name, "CoheapError");
  assert.equal(isCoheapError(error), true);
  assert.equal(isCoheapError(error, "COHEAP_BUSY"), false);
  assert.match(error.message, /it has no property coheap/);
});
