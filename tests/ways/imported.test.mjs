// A Rust program with a memory of its own, which imports the heap's functions.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SharedHeap } from "coheap";
import { attach } from "coheap/worker";
import { root, run } from "../../tools/process.mjs";
import { inPage } from "../browser/page.mjs";
import { cases, RemoteAgent, refuses, watchdog } from "../js/support.mjs";
import { built } from "./support.mjs";

watchdog(300);
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

let example;
let file;
let module;
before(async () => {
  example = await built("examples/imported", "count_words");
  file = await built("tests/ways/imported", "imported_program");
  module = new WebAssembly.Module(readFileSync(file));
});

/** An instance of the test program; what a panic in it says is what is thrown. */
function start(heap) {
  const program = new WebAssembly.Instance(module, { coheap: heap.imports(() => program.exports.memory) });
  const run = (call, ...values) => {
    try {
      return call(...values);
    } catch (error) {
      const failure = heap.cell("failure").get();
      throw failure === 0 ? error : new Error(failure, { cause: error });
    }
  };
  return Object.fromEntries(Object.entries(program.exports).map(([name, call]) => [name, run.bind(undefined, call)]));
}

test("imported_example_counts_the_words_of_a_text_in_two_instances", async () => {
  const text = join(root, "ARCHITECTURE.md");
  const host = join(root, "examples", "imported", "host.mjs");
  const { code, output, errors } = await run("the example", [process.execPath, host, text, example], {
    limitMinutes: 2,
  });
  assert.equal(code, 0, errors);
  const words = new Map();
  const lines = readFileSync(text, "utf8").split("\n");
  for (const word of lines
    .join(" ")
    .toLowerCase()
    .match(/\p{Alphabetic}+/gu))
    words.set(word, (words.get(word) ?? 0) + 1);
  const [first, ...printed] = output.trim().split("\n");
  assert.equal(first, `${lines.length} lines, taken by 2 instances`);
  assert.equal(printed.length, 10);
  for (const line of printed) {
    const [count, word] = line.trim().split(/\s+/);
    assert.equal(Number(count), words.get(word), word);
  }
  cases("imported_example_counts_the_words_of_a_text_in_two_instances", lines.length);
});

test("imported_values_of_every_type_and_length_are_those_of_javascript", async () => {
  const heap = await SharedHeap.create();
  const count = start(heap).round_trips();
  const expected = [undefined, null, false, true, 0n, -((1n << 127n) + 1n), "\ud800A", "content-type"];
  expected.push(0, -0, 1.5, NaN, Infinity, 2 ** 53);
  for (const length of [0, 1, 5, 6, 8_191, 8_192, 8_193, 28_672, 28_673, 200_000]) {
    expected.push("a".repeat(length), "é".repeat(length), "€".repeat(length));
    expected.push(Uint8Array.from({ length }, (_, byte) => byte));
  }
  assert.equal(count, expected.length);
  assert.deepStrictEqual([...heap.map("map").values()], expected);
  await heap.audit();
  heap.detach();
  cases("imported_values_of_every_type_and_length_are_those_of_javascript", count);
});

test("imported_refusals_are_typed_errors_and_nothing_is_thrown", async () => {
  const heap = await SharedHeap.create();
  cases("imported_refusals_are_typed_errors_and_nothing_is_thrown", start(heap).refusals());
  await heap.audit();
});

test("imported_programs_in_two_workers_lose_no_addition_beside_javascript", async () => {
  const [times, keys] = [20_000, 7];
  const heap = await SharedHeap.create();
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const work = agents.map((agent) =>
    agent.run(
      (other, module, times, keys) => {
        const program = new WebAssembly.Instance(module, { coheap: other.imports(() => program.exports.memory) });
        program.exports.add(times, keys);
        return program.exports.memory.buffer instanceof ArrayBuffer;
      },
      module,
      times,
      keys,
    ),
  );
  const sums = heap.map("sums");
  for (let step = 0; step < times; step++) sums.add(`key number ${step % keys}`, 1);
  assert.deepEqual(await Promise.all(work), [true, true], "each has a memory of its own");
  const total = [...sums.values()].reduce((sum, one) => sum + one);
  assert.equal(total, 3 * times);
  assert.equal(sums.size, keys);
  assert.equal(heap.stats().agents, 5);
  for (const agent of agents) await agent.stop();
  assert.equal(heap.stats().agents, 1, "programs leave with the agent that made their imports");
  await heap.audit();
  cases("imported_programs_in_two_workers_lose_no_addition_beside_javascript", total);
});

test("imported_program_works_in_a_page_and_in_its_worker", async () => {
  const url = `/${relative(root, file).replaceAll(sep, "/")}`;
  const result = await inPage(async (url) => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const module = await WebAssembly.compileStreaming(fetch(url));
    const heap = await SharedHeap.create();
    const agent = await globalThis.start(heap);
    const counting = agent.run((other, module) => {
      const program = new WebAssembly.Instance(module, { coheap: other.imports(() => program.exports.memory) });
      program.exports.add(5_000, 7);
      return program.exports.refusals();
    }, module);
    const program = new WebAssembly.Instance(module, { coheap: heap.imports(() => program.exports.memory) });
    program.exports.add(5_000, 7);
    const refusals = await counting;
    const { agents } = await heap.audit();
    return { sum: [...heap.map("sums").values()].reduce((sum, one) => sum + one), refusals, agents };
  }, url);
  assert.deepEqual(result, { sum: 10_000, refusals: 11, agents: 4 });
  cases("imported_program_works_in_a_page_and_in_its_worker", result.sum);
});

test("imported_program_has_references_of_its_own", async () => {
  const heap = await SharedHeap.create();
  const program = start(heap);
  const cell = heap.cell(undefined, 7);
  const { index, generation } = cell.handle;
  assert.equal(program.hold(index, generation), 1);
  const { handle } = cell;
  cell.dispose();
  assert.equal(heap.open(handle).get(), 7, "the program has it open");
  heap.open(handle).dispose();
  program.let_go(1);
  assert.equal(heap.open(handle).get(), 7, "opened twice, it is let go twice");
  heap.open(handle).dispose();
  program.let_go(1);
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  assert.equal(program.hold(index, generation), 0);
  assert.equal(program.nest(), 5);
  assert.deepEqual(heap.map("outer").toJS(), new Map([["inner", new Map([["hits", 5]])]]));
  await heap.audit();
});

test("imported_calls_after_leaving_are_errors_and_other_agents_go_on", async () => {
  const LOST = 5;
  const heap = await SharedHeap.create();
  const [leaving, detached] = [start(heap), start(attach(heap.token()))];
  const host = attach(heap.token());
  const third = start(host);
  assert.equal(leaving.hold(...held(heap)), 1);
  assert.equal(heap.stats().agents, 6);
  assert.equal(leaving.leave(), LOST);
  assert.equal(leaving.after_leaving(), LOST);
  assert.equal(leaving.leave(), LOST, "leaving again does nothing");
  leaving.let_go(2);
  third.add(1, 1);
  host.detach();
  host.detach();
  assert.equal(third.after_leaving(), LOST);
  refuses(() => host.imports(new WebAssembly.Memory({ initial: 1 })), "COHEAP_DETACHED");
  detached.add(1, 1);
  assert.equal(heap.map("sums").get("key number 0"), 2);
  assert.equal(heap.stats().agents, 3);
  await heap.audit();
});

function held(heap) {
  const { index, generation } = heap.cell("held").handle;
  return [index, generation];
}

test("imported_program_that_is_collected_gives_its_seat_back", async () => {
  const heap = await SharedHeap.create();
  const count = 20;
  for (let number = 0; number < count; number++) start(heap).nest();
  const left = start(heap);
  for (let round = 0; heap.stats().agents > 2; round++) {
    assert.ok(round < 100, `${heap.stats().agents} agents are left`);
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(left.nest(), 5, "one that is in use keeps its seat");
  cases("imported_program_that_is_collected_gives_its_seat_back", count);
});

test("imported_programs_that_die_in_a_call_hold_up_nobody", async () => {
  const deaths = 12;
  const heap = await SharedHeap.create();
  const sums = heap.map("sums");
  let own = 0;
  for (let death = 0; death < deaths; death++) {
    const agent = await RemoteAgent.start(heap);
    const before = sums.get("key number 0") ?? 0;
    const dying = agent.run((other, module) => {
      const program = new WebAssembly.Instance(module, { coheap: other.imports(() => program.exports.memory) });
      for (;;) program.exports.add(100, 3);
    }, module);
    dying.catch(() => {});
    while ((sums.get("key number 0") ?? 0) < before + 500) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await agent.thread.terminate();
    const left = sums.get("key number 0");
    for (let step = 0; step < 1_000; step++) sums.add("key number 0", 1);
    own += 1_000;
    assert.equal(sums.get("key number 0"), left + 1_000);
  }
  assert.ok(sums.get("key number 0") >= own + 500 * deaths);
  assert.equal(sums.size, 3);
  cases("imported_programs_that_die_in_a_call_hold_up_nobody", deaths);
});

test("imported_program_at_the_end_of_the_stack_leaves_the_heap_whole", async () => {
  const heap = await SharedHeap.create();
  let overflows = 0;
  for (let round = 0; round < 20; round++) {
    const program = start(heap);
    assert.throws(() => program.overflow(0), RangeError);
    assert.ok(heap.cell("depth").get() > 0);
    overflows++;
    // The instance lost its frames, as with every exception; its agent goes on.
    program.add(10, 2);
  }
  assert.equal(heap.map("sums").get("key number 1"), 5 * overflows);
  heap.detach();
  cases("imported_program_at_the_end_of_the_stack_leaves_the_heap_whole", overflows);
});

test("imported_ranges_outside_either_memory_are_refused_and_copy_nothing", async () => {
  const heap = await SharedHeap.create();
  for (const shared of [false, true]) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 3, shared });
    const { coheap_copy_in, coheap_copy_out } = heap.imports(memory);
    const end = 65_536;
    const OUT_OF_RANGE = 9;
    new Uint8Array(memory.buffer).fill(1);
    assert.equal(coheap_copy_in(end - 8, 8, 0), 0);
    assert.equal(coheap_copy_in(0, 0, 28_672), 0);
    const ranges = [
      [end - 8, 9, 0],
      [-1, 1, 0],
      [0, -1, 0],
      [0, 8, 28_665],
      [0, 1, -1],
      [end, 1, 0],
      [0, 28_673, 0],
    ];
    for (const range of ranges) {
      assert.equal(coheap_copy_in(...range), OUT_OF_RANGE, `${range}`);
      assert.equal(coheap_copy_out(...range), OUT_OF_RANGE, `${range}`);
    }
    assert.ok(new Uint8Array(memory.buffer).every((byte) => byte === 1));
    memory.grow(2);
    assert.equal(coheap_copy_out(3 * end - 8, 8, 0), 0, "a memory that grew is seen");
    assert.equal(coheap_copy_out(3 * end - 8, 9, 0), OUT_OF_RANGE);
    assert.equal(
      new Uint8Array(memory.buffer, 3 * end - 8, 8).every((byte) => byte === 1),
      true,
    );
  }
  await heap.audit();
});

test("imported_arguments_that_are_no_memory_are_refused", async () => {
  const heap = await SharedHeap.create();
  const agents = heap.stats().agents;
  for (const bad of [undefined, null, 5, "memory", {}, new ArrayBuffer(8), new SharedArrayBuffer(8)]) {
    refuses(() => heap.imports(bad), "COHEAP_INVALID_ARGUMENT");
    refuses(() => heap.imports(() => bad).coheap_copy_in(0, 1, 0), "COHEAP_INVALID_ARGUMENT");
  }
  assert.equal(heap.stats().agents, agents + 7);
});
