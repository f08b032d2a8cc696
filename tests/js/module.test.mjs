// heap.wasm as shipped: what instantiating it does to a memory, what it needs, and what its stack check catches.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const path = `${root}js-host/dist/heap.wasm`;
const bytes = readFileSync(path);
const heapWasm = new WebAssembly.Module(bytes);

const PAGE = 65_536;
const PAGES = 64;
const SLOT_SIZE = 1_024;
const BOOTSTRAP_STACK = 640;
const BODY_STACK = 30_720;
const watchdog = { timeout: 300_000 };

function freshMemory() {
  return new WebAssembly.Memory({ initial: PAGES, maximum: 1_024, shared: true });
}

function instantiate(memory) {
  const never = () => assert.fail("an import was called");
  return new WebAssembly.Instance(heapWasm, { env: { memory, wait: never, notify: () => 0, now: () => 0 } }).exports;
}

/** Makes a heap the way the creator does; answers its control area. */
function initialize(wasm) {
  const control = Math.ceil(wasm.__heap_base.value / PAGE) * PAGE;
  wasm.coheap_start();
  return { control, status: wasm.coheap_initialize(control, 1_024, 0, 1, 2) };
}

/** What the call-graph tool says about the shipped file itself. */
function callGraph() {
  const cargo = ["run", "--quiet", "--package", "coheap-tools", "--bin", "call-graph", "--", path, "--json"];
  const { status, stdout, stderr } = spawnSync("cargo", cargo, { cwd: root, encoding: "utf8", timeout: 240_000 });
  assert.notEqual(stdout, "", stderr);
  return { status, ...JSON.parse(stdout) };
}

/** Writes past the stack's limit are stopped by the check's `unreachable`, and by nothing else. */
const trap = (error) => error instanceof WebAssembly.RuntimeError && /unreachable/.test(error.message);

test("instantiating writes nothing", watchdog, () => {
  const memory = freshMemory();
  const wasm = instantiate(memory);
  assert.ok(Buffer.from(memory.buffer).equals(Buffer.alloc(PAGES * PAGE)), "a fresh memory is all zeros still");

  assert.equal(initialize(wasm).status, 0);
  const before = Buffer.from(new Uint8Array(memory.buffer));
  assert.ok(!before.equals(Buffer.alloc(before.length)), "making a heap writes");
  instantiate(memory);
  assert.ok(Buffer.from(memory.buffer).equals(before), "an attacher's instance changes no byte of a live heap");
});

test("the module imports a memory, wait, notify and now, and nothing else", () => {
  const imports = WebAssembly.Module.imports(heapWasm).map(({ module, name, kind }) => `${kind} ${module}.${name}`);
  assert.deepEqual(imports.sort(), [
    "function env.notify",
    "function env.now",
    "function env.wait",
    "memory env.memory",
  ]);
});

test("the module carries no names and no tool's notes", () => {
  for (const section of ["name", "producers", "target_features"]) {
    assert.equal(WebAssembly.Module.customSections(heapWasm, section).length, 0, section);
  }
});

test("the module is at most 73 KiB with brotli", () => {
  const size = brotliCompressSync(bytes).length;
  assert.ok(size <= 73 * 1_024, `${size} bytes`);
});

test("no recursion, no wait instruction, and the deepest stack fits", watchdog, () => {
  const { status, exports, violations } = callGraph();
  assert.deepEqual(violations, []);
  assert.equal(status, 0);
  const depth = new Map(exports.map(({ name, bytes }) => [name, bytes]));
  for (const name of ["coheap_claim", "coheap_slot_of"]) assert.equal(depth.get(name), 0);
  assert.ok(depth.get("coheap_attach") <= BOOTSTRAP_STACK);
  assert.ok(Math.max(...depth.values()) <= BODY_STACK);
  console.log(`cases no recursion, no wait instruction, and the deepest stack fits ${depth.size}`);
});

test("the stack check traps at the limit and not above it", watchdog, () => {
  const { exports, functions } = callGraph();
  const depth = exports.find(({ name }) => name === "coheap_initialize").bytes;
  {
    const wasm = instantiate(freshMemory());
    wasm.__stack_limit.value = wasm.__stack_pointer.value - depth;
    assert.equal(initialize(wasm).status, 0, `${depth} bytes are enough`);
  }
  const names = new Set(exports.map(({ name }) => name));
  const framed = functions.filter(({ name, frame }) => frame > 0 && names.has(name));
  assert.ok(framed.length > 0, "some export has a frame");
  for (const { name } of framed) {
    const memory = freshMemory();
    const wasm = instantiate(memory);
    const top = wasm.__stack_pointer.value;
    wasm.__stack_limit.value = top;
    const call = wasm[name];
    assert.throws(() => call(...new Array(call.length).fill(0)), trap, name);
    assert.equal(wasm.__stack_pointer.value, top, `${name} has not moved the stack pointer`);
    assert.ok(Buffer.from(memory.buffer).equals(Buffer.alloc(PAGES * PAGE)), `${name} has written nothing`);
  }
  console.log(`cases the stack check traps at the limit and not above it ${framed.length + 1}`);
});

test("each instance has its own agent and stack, and runs within them", watchdog, () => {
  const memory = freshMemory();
  const creator = instantiate(memory);
  const { control, status } = initialize(creator);
  assert.equal(status, 0);

  const attach = (wasm, nonce) => {
    const slot = wasm.coheap_claim(control, nonce, nonce, 0, 0, 0, 0) >>> 0;
    assert.notEqual(slot, 0);
    wasm.agent.value = slot;
    wasm.incarnation.value = wasm.coheap_incarnation();
    wasm.__stack_pointer.value = slot + SLOT_SIZE;
    wasm.__stack_limit.value = slot + SLOT_SIZE - BOOTSTRAP_STACK;
    assert.equal(wasm.coheap_attach(), 0);
    assert.equal(wasm.__stack_pointer.value, slot + SLOT_SIZE, "the stack pointer is given back");
    wasm.__stack_pointer.value = wasm.coheap_stack_top();
    wasm.__stack_limit.value = wasm.coheap_stack_base();
    assert.equal(wasm.__stack_pointer.value - wasm.__stack_limit.value, BODY_STACK);
    return slot;
  };
  const other = instantiate(memory);
  const slots = [attach(creator, 1), attach(other, 2)];
  assert.notEqual(slots[0], slots[1]);
  assert.deepEqual([creator.agent.value, other.agent.value], slots);
  assert.notEqual(creator.coheap_transfer(), other.coheap_transfer(), "agent() is read from the instance's own global");
  assert.notEqual(creator.coheap_stack_top(), other.coheap_stack_top());
});

test("the package turns the stack check on when it attaches", watchdog, async () => {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const { Instance } = WebAssembly;
  const made = [];
  WebAssembly.Instance = class extends Instance {
    constructor(...from) {
      super(...from);
      made.push(this);
    }
  };
  try {
    const heap = await SharedHeap.create();
    assert.ok(made.length > 0);
    for (const { exports } of made) {
      assert.equal((exports.__stack_pointer.value - exports.__stack_limit.value) >>> 0, BODY_STACK);
    }
    await heap.detach();
  } finally {
    WebAssembly.Instance = Instance;
  }
});
