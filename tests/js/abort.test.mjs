import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import vm from "node:vm";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { everyOperation } from "./every-operation.mjs";
import { atTheEndOfTheStack, cases, refuses, seededRandom, times, watchdog, withExports } from "./support.mjs";

const alive = watchdog(120);

async function goesOn(heap, stackPointer) {
  heap.cell("after").set(3);
  assert.equal(heap.cell("after").get(), 3);
  assert.equal(heap.bytes(undefined, 300).sum(), 0);
  await null;
  assert.equal(stackPointer.value, stackPointer.top, "the stack pointer is back");
  await heap.audit();
}

/** Where a slot says how deep its agent's operations are nested. */
const DEPTH = 56;

/** The heap, its instance's stack pointer, and how often the instance recovered, from what. */
async function heapWithStackPointer() {
  /** Exceptions that left wasm, and those of them that left an operation half done. */
  const recovered = { calls: 0, operations: 0 };
  let wasm;
  let memory;
  const change = (exports) => {
    wasm = exports;
    const coheap_recover = () => {
      const isHalfDone = new Int32Array(memory.buffer)[((exports.agent.value >>> 0) + DEPTH) >>> 2] !== 0;
      const answer = exports.coheap_recover();
      recovered.calls++;
      if (isHalfDone) recovered.operations++;
      return answer;
    };
    return { ...exports, coheap_recover };
  };
  const heap = await withExports(change, () => SharedHeap.create());
  ({ memory } = heap.token());
  const top = wasm.__stack_pointer.value;
  const stackPointer = {
    top,
    get value() {
      return wasm.__stack_pointer.value;
    },
  };
  return { heap, stackPointer, recovered };
}

/** Some of so many exceptions have cut an operation short, and not only what is around it. */
function someWereCut(what, rounds, { calls, operations }) {
  console.log(`# ${rounds} ${what}: ${calls} left wasm, ${operations} of them an operation that was half done`);
  if (rounds >= 200) assert.ok(operations > 0, `${what} cut no operation short`);
}

test("abort_by_stack_overflow_leaves_the_agent_and_the_heap_well", async () => {
  const { heap, stackPointer, recovered } = await heapWithStackPointer();
  const all = Object.values(everyOperation(heap).operations);
  // Ten in each operation; every function of each is what abort-everywhere.test.mjs tries.
  const overflows = times("COHEAP_OVERFLOWS", 10 * all.length);
  let aborted = 0;
  for (let round = 0; round < overflows; round++) {
    const operation = all[round % all.length];
    const walk = (depth) => {
      operation();
      const pad = [depth, round];
      if (round > 0 && depth % 7 === 0) pad.push(round);
      return walk(depth + 1) + pad.length;
    };
    const waste = (left) => (left > 0 ? waste(left - 1) : walk(0));
    try {
      waste(round % 97);
    } catch (error) {
      // Within the call of a coheap method the overflow may surface as one of its own errors being made.
      if (!(error instanceof RangeError)) throw error;
      aborted++;
    }
    await goesOn(heap, stackPointer);
    alive();
  }
  assert.equal(aborted, overflows);
  someWereCut("overflows", overflows, recovered);
  cases("abort_by_stack_overflow_leaves_the_agent_and_the_heap_well", overflows);
});

test("abort_by_vm_timeout_leaves_the_agent_and_the_heap_well", async () => {
  const { heap, stackPointer, recovered } = await heapWithStackPointer();
  const all = Object.values(everyOperation(heap).operations);
  const timeouts = times("COHEAP_TIMEOUTS", 200);
  let aborted = 0;
  for (let round = 0; round < timeouts; round++) {
    const operation = all[round % all.length];
    try {
      vm.runInNewContext("for (;;) operation()", { operation }, { timeout: 5 });
    } catch (error) {
      assert.equal(error.code, "ERR_SCRIPT_EXECUTION_TIMEOUT", error.stack);
      aborted++;
    }
    alive();
    await goesOn(heap, stackPointer);
  }
  assert.equal(aborted, timeouts);
  someWereCut("timeouts", timeouts, recovered);
  cases("abort_by_vm_timeout_leaves_the_agent_and_the_heap_well", timeouts);
});

test("abort_by_a_throwing_import_leaves_the_agent_and_the_heap_well", async () => {
  const { heap, stackPointer } = await heapWithStackPointer();
  const random = seededRandom();
  const cell = heap.cell("x");
  const { notify } = Atomics;
  let thrown = 0;
  try {
    for (let round = 0; round < 60; round++) {
      const wait = cell.waitAsync(cell.get(), { timeout: 10_000 });
      Atomics.notify = () => {
        thrown++;
        throw new Error("notify");
      };
      try {
        if (random(2)) cell.add(1);
        else cell.set(cell.get() + 1);
      } catch (error) {
        assert.ok(!isCoheapError(error));
      }
      Atomics.notify = notify;
      assert.equal(await wait, "changed"); // the waiter looks for itself
      if (round % 20 === 0) await goesOn(heap, stackPointer);
    }
  } finally {
    Atomics.notify = notify;
  }
  assert.ok(thrown > 0);
  await goesOn(heap, stackPointer);
  cases("abort_by_a_throwing_import_leaves_the_agent_and_the_heap_well", 60);
});

/** Whether the heap's creator, who sits in the first slot, says that it may be writing. */
function isOnline({ memory, control }) {
  const words = new Int32Array(memory.buffer);
  return (words[(words[(control + 0x100) / 4] & ~0xffff) / 4] & 1) === 1;
}

test("turn_that_an_exception_or_a_wait_left_is_entered_again", async () => {
  let leave = false;
  const online = [];
  let token;
  const change = (exports) => ({
    ...exports,
    coheap_cell_add: (...given) => {
      if (leave) throw new RangeError("before anything happened");
      return exports.coheap_cell_add(...given);
    },
    // What JavaScript wrote for it stands in shared memory already.
    coheap_cell_put: (...given) => {
      if (token !== undefined) online.push(isOnline(token));
      return exports.coheap_cell_put(...given);
    },
  });
  const { heap, cell } = await withExports(change, async () => {
    const creator = await SharedHeap.create();
    // The agent that is looked at is one that may block: it takes the first slot.
    const token = creator.token();
    creator.detach();
    const heap = attach(token);
    return { heap, cell: heap.cell("c") };
  });
  token = heap.token();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 6; i++) cell.set(i);
    assert.ok(isOnline(token), "the turn stays entered");
    if (round % 2) {
      leave = true;
      assert.throws(() => cell.add(1), RangeError);
      leave = false;
    } else {
      assert.equal(cell.waitSync(5, 1), "timed-out");
    }
    cell.set("a text that goes through the transfer buffer");
    assert.ok(isOnline(token), "the turn is entered again");
    await null;
    assert.ok(!isOnline(token), "the turn has ended");
  }
  assert.deepEqual(online, Array(rounds).fill(true));
  await heap.audit();
  cases("turn_that_an_exception_or_a_wait_left_is_entered_again", rounds);
});

test("turn_that_cannot_begin_is_a_typed_error", async () => {
  let status = 0;
  const change = (exports) => ({ ...exports, coheap_turn_begin: () => status || exports.coheap_turn_begin() });
  const heap = await withExports(change, () => SharedHeap.create());
  const cell = heap.cell("c");
  await null;
  for (const [number, code] of [
    [4, "COHEAP_BUSY"],
    [5, "COHEAP_AGENT_LOST"],
  ]) {
    for (let i = 0; i < 4; i++) cell.set(i);
    status = number;
    for (const call of [() => cell.get(), () => cell.set(1), () => cell.set("x".repeat(20)), () => heap.cell()]) {
      refuses(call, code);
    }
    status = 0;
    assert.equal(cell.get(), 3);
    assert.ok(isOnline(heap.token()));
    await null;
    assert.ok(!isOnline(heap.token()));
  }
  await heap.audit();
});

test("wrapper_that_is_made_writes_nothing_into_the_transfer_buffer", async () => {
  let exports;
  const keep = (found) => {
    exports = found;
    return found;
  };
  const heap = await withExports(keep, () => SharedHeap.create());
  const { memory } = heap.token();
  const transfer = new Uint8Array(memory.buffer, exports.coheap_transfer() >>> 0, exports.coheap_transfer_length());
  transfer.fill(7);
  assert.equal(heap.cell().get(), 0);
  assert.ok(transfer.every((byte) => byte === 7));
});

test("attach_at_the_end_of_the_stack_takes_a_slot_or_none", async () => {
  const heap = await SharedHeap.create();
  const rounds = 50;
  const errors = [];
  for (let round = 0; round < rounds; round++) {
    const token = heap.token();
    let made;
    atTheEndOfTheStack(round, () => {
      try {
        made = SharedHeap.attach(token);
        return true;
      } catch (error) {
        if (!(error instanceof RangeError)) errors.push(error);
        return false;
      }
    });
    made.detach();
  }
  assert.deepEqual(errors, []);
  assert.equal(heap.stats().agents, 1);
  await heap.audit();
  cases("attach_at_the_end_of_the_stack_takes_a_slot_or_none", rounds);
});

test("dispose_at_the_end_of_the_stack_can_be_done_again", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats().liveBytes;
  const rounds = 1000;
  const errors = [];
  for (let round = 0; round < rounds; round++) {
    const block = heap.bytes(undefined, 10_000);
    atTheEndOfTheStack(round % 97, () => {
      try {
        block.dispose();
      } catch (error) {
        if (!(error instanceof RangeError)) errors.push(error);
      }
      return block.disposed;
    });
    if (round % 100 === 0) await null;
  }
  assert.deepEqual(errors, []);
  assert.equal(heap.stats().liveBytes, before);
  await heap.audit();
  cases("dispose_at_the_end_of_the_stack_can_be_done_again", rounds);
});

test("first_error_at_the_end_of_the_stack_ends_no_process", () => {
  const [dist, support] = ["../../js-host/dist/index.js", "./support.mjs"].map(
    (path) => new URL(path, import.meta.url),
  );
  // In a process of its own, because of what an engine compiles only when it first runs.
  const text = `
    import { SharedHeap } from ${JSON.stringify(dist.href)};
    import { atTheEndOfTheStack } from ${JSON.stringify(support.href)};
    const heap = await SharedHeap.create();
    const token = heap.token();
    const attach = () => {
      try {
        SharedHeap.attach(token).detach();
        return true;
      } catch {
        return false;
      }
    };
    attach();
    atTheEndOfTheStack(0, attach);
    console.log("well");`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], { encoding: "utf8" });
  assert.equal(stdout, "well\n", stderr);
});
