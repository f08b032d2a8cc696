import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog, withExports } from "./support.mjs";

watchdog(120);

const numbers = [
  0,
  -0,
  1,
  -1,
  1.5,
  -1.5,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  0.1,
  Number.MIN_VALUE,
  Number.MAX_VALUE,
  Number.EPSILON,
  Infinity,
  -Infinity,
  NaN,
];

test("cell_holds_every_number_as_it_was", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const bits = new DataView(new ArrayBuffer(8));
  const random = seededRandom();
  assert.ok(Object.is(cell.get(), 0));
  const all = [...numbers];
  for (let i = 0; i < 100_000; i++) {
    bits.setUint32(0, random(2 ** 32));
    bits.setUint32(4, random(2 ** 32));
    all.push(bits.getFloat64(0)); // NaNs with payloads among them
  }
  for (const value of all) {
    cell.set(value);
    assert.ok(Object.is(cell.get(), value), `${value}`);
  }
  cases("cell_holds_every_number_as_it_was", all.length);
});

test("cell_compares_as_object_is_does", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell("x");
  let pairs = 0;
  for (const held of numbers) {
    for (const expected of numbers) {
      cell.set(held);
      assert.equal(cell.compareAndSet(expected, 99), Object.is(held, expected), `${held} ${expected}`);
      assert.ok(Object.is(cell.get(), Object.is(held, expected) ? 99 : held));
      pairs++;
    }
  }
  cases("cell_compares_as_object_is_does", pairs);
});

test("cell_add_answers_the_sum", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell("x");
  for (const a of numbers) {
    for (const b of numbers) {
      cell.set(a);
      const sum = a + b;
      assert.ok(Object.is(cell.add(b), sum), `${a} + ${b}`);
      assert.ok(Object.is(cell.get(), sum));
    }
  }
  cell.set(5);
  assert.equal(cell.add(), 6);
  cases("cell_add_answers_the_sum", numbers.length ** 2);
});

test("cell_additions_of_two_agents_are_all_counted", async () => {
  const heap = await SharedHeap.create();
  const rounds = 200_000;
  const count = (other, rounds) => {
    const cell = other.cell("sum");
    for (let i = 0; i < rounds; i++) {
      if (i % 2) cell.add(1);
      else for (let old = cell.get(); !cell.compareAndSet(old, old + 1); old = cell.get());
    }
  };
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  await Promise.all(agents.map((agent) => agent.run(count, rounds)));
  assert.equal(heap.cell("sum").get(), 2 * rounds);
  await heap.audit();
  await Promise.all(agents.map((agent) => agent.stop()));
  cases("cell_additions_of_two_agents_are_all_counted", 2 * rounds);
});

test("cell_of_a_name_is_one_cell_and_ends_with_remove", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const names = ["a", "ä", "名", "😀", "x".repeat(1024), "__proto__", "constructor", "\0", " "];
  names.forEach((name, i) => {
    const cell = heap.cell(name);
    cell.set(i);
    cell.dispose();
  });
  names.forEach((name, i) => {
    assert.equal(other.cell(name).get(), i, name);
  });
  for (const name of names) {
    const cell = other.cell(name);
    assert.equal(heap.remove(name), true);
    assert.equal(heap.remove(name), false);
    // Who has it keeps it; the name makes another one.
    const fresh = other.cell(name);
    assert.deepEqual([fresh.get(), fresh === cell], [0, false], name);
    const { handle } = cell;
    cell.dispose();
    refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE", name);
  }
  await heap.audit();
  cases("cell_of_a_name_is_one_cell_and_ends_with_remove", names.length);
});

test("dispose_destroys_what_nobody_has_and_keeps_what_has_a_name", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const anonymous = heap.cell();
  const named = heap.cell("n");
  const borrowed = other.open(anonymous.handle);
  named.set(3);
  anonymous.set(4);
  assert.equal(borrowed.get(), 4);
  assert.equal(other.open(anonymous.handle), borrowed);
  anonymous[Symbol.dispose]();
  named.dispose();
  assert.deepEqual([anonymous.disposed, named.disposed, borrowed.disposed], [true, true, false]);
  refuses(() => anonymous.get(), "COHEAP_DISPOSED");
  refuses(() => named.set(1), "COHEAP_DISPOSED");
  assert.equal(borrowed.get(), 4);
  borrowed.dispose();
  refuses(() => heap.open(anonymous.handle), "COHEAP_STALE_HANDLE");
  refuses(() => other.open(anonymous.handle), "COHEAP_STALE_HANDLE");
  assert.equal(heap.open(named.handle).get(), 3);
  assert.equal(heap.cell("n").get(), 3);
  anonymous.dispose();
  await heap.audit();
});

test("dispose_that_wasm_refuses_throws_and_can_be_done_again", async () => {
  const answers = [];
  const busy = (exports) => ({
    ...exports,
    coheap_release: (...given) => answers.pop() ?? exports.coheap_release(...given),
  });
  const heap = await withExports(busy, () => SharedHeap.create());
  const cell = heap.cell();
  answers.push(4);
  refuses(() => cell.dispose(), "COHEAP_BUSY");
  assert.equal(cell.disposed, false);
  assert.equal(cell.get(), 0);
  cell.dispose();
  assert.equal(cell.disposed, true);
  refuses(() => heap.open(cell.handle), "COHEAP_STALE_HANDLE");
  await heap.audit();
});

test("handle_goes_through_json_and_a_message", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  cell.set(12);
  const block = heap.bytes(undefined, 4);
  block.write(0, Uint8Array.of(1, 2, 3, 4));
  const agent = await RemoteAgent.start(heap);
  const read = (other, a, b) => [other.open(a).get(), other.open(b).sum()];
  assert.deepEqual(await agent.run(read, cell.handle, JSON.parse(JSON.stringify(block))), [12, 10]);
  await agent.stop();
});

test("bytes_go_in_and_out_as_they_were", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const lengths = [0, 1, 7, 8, 64, 4096, 8192, 8193, 28_671, 28_672, 28_673, 65_536, 200_000, 3_000_000];
  let ranges = 0;
  for (const length of lengths) {
    const block = heap.bytes(`b${length}`, length);
    assert.equal(block.length, length);
    assert.equal(block.sum(), 0);
    const mirror = new Uint8Array(length);
    for (let round = 0; round < 20; round++) {
      const offset = random(length + 1);
      const piece = Uint8Array.from({ length: random(Math.min(length - offset, 100_000) + 1) }, () => random(256));
      block.write(offset, piece);
      mirror.set(piece, offset);
      const from = random(length + 1);
      const size = random(length - from + 1);
      assert.deepEqual(block.read(from, size), mirror.slice(from, from + size));
      assert.equal(
        block.sum(from, size),
        mirror.subarray(from, from + size).reduce((sum, byte) => sum + byte, 0),
      );
      ranges++;
    }
    assert.deepEqual(block.read(), mirror);
    assert.equal(heap.bytes(`b${length}`, length).sum(), block.sum());
    refuses(() => heap.bytes(`b${length}`, length + 1), "COHEAP_OUT_OF_RANGE");
    refuses(() => heap.cell(`b${length}`), "COHEAP_WRONG_TYPE");
  }
  await heap.audit();
  cases("bytes_go_in_and_out_as_they_were", ranges);
});

test("bytes_handed_out_are_a_private_copy", async () => {
  const heap = await SharedHeap.create();
  const block = heap.bytes("b", 100);
  const copy = block.read();
  assert.ok(copy.buffer instanceof ArrayBuffer);
  copy.fill(9);
  assert.equal(block.sum(), 0);
});
