// A loop in WebAssembly that goes on calling the heap after all that it had was given to others.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attachWithExports, cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(60);

/**
 * Calls its import `add` with what it is given and 1, without end; counts in its memory how often the answer was 0, at 0, and how often not,
 * at 4.
 */
const LOOP = Uint8Array.from(
  [
    "00 61 73 6d 01 00 00 00",
    "01 0d 02 60 03 7f 7f 7c 01 7f 60 02 7f 7f 00", // the types of `add` and `run`
    "02 1a 02 03 65 6e 76 06 6d 65 6d 6f 72 79 02 03 01 01 03 65 6e 76 03 61 64 64 00 00", // env.memory, env.add
    "03 02 01 01",
    "07 07 01 03 72 75 6e 00 01", // run
    "0a 2f 01 2d 00 03 40",
    "20 00 20 01 44 00 00 00 00 00 00 f0 3f 10 00 45", // add(index, generation, 1) == 0
    "04 40 41 00 41 01 fe 1e 02 00 1a 05 41 04 41 01 fe 1e 02 00 1a 0b 0c 00 0b 0b",
  ]
    .join(" ")
    .split(" ")
    .map((byte) => Number.parseInt(byte, 16)),
);

test("wasm_loop_that_goes_on_never_enters_again", async (t) => {
  const rounds = 20;
  const { heap, wasm } = await attachWithExports((await SharedHeap.create()).token());
  const before = await heap.audit();
  const live = [];
  for (let round = 0; round < rounds; round++) {
    const cell = heap.cell();
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    const counts = new Int32Array(memory.buffer);
    const [entered, refused] = [0, 1].map((at) => () => Atomics.load(counts, at));
    const worker = await RemoteAgent.start(heap, { adopt: false });
    t.after(() => worker.thread.terminate());
    const seat = await worker.run(
      async (heap, { token, handle, memory, bytes }) => {
        heap.detach(); // the loop has an agent of its own
        const { heap: own, wasm } = await attachWithExports(token);
        const { index, generation } = handle;
        globalThis.held = own.bytes(undefined, 60_000);
        own.open(handle);
        const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
          env: { memory, add: wasm.coheap_cell_add },
        });
        setTimeout(() => exports.run(index, generation));
        return wasm.agent.value;
      },
      { token: heap.token(), handle: cell.handle, memory, bytes: LOOP },
    );
    while (entered() < 1000) await sleep(1);

    // It is condemned, and in no operation: then all it has is given back, and its seat is kept for its thread.
    const [low, high] = [worker.thread.threadId + 1, 0x4e6f6465];
    assert.equal(wasm.coheap_condemn(low, high), 0);
    for (let slices = 1; wasm.coheap_reap(low, high, 0) !== 1; slices++) {
      assert.ok(slices < 500, "all that it had is given back");
      await sleep(1);
    }
    for (const calls = refused(); refused() === calls; ) await sleep(1); // it has counted its last operation
    const last = entered();
    assert.equal(cell.get(), last, "it was refused after its last operation");
    assert.equal(heap.stats().quarantined, 1);

    // What it had is others', its seat is nobody's: its stack lies there, and it runs still.
    const { heap: next, wasm: its } = await attachWithExports(heap.token());
    assert.notEqual(its.agent.value, seat);
    const map = next.map();
    const region = next.bytes(undefined, 60_000);
    region.write(0, new Uint8Array(60_000).fill(round));
    const calls = refused();
    for (let key = 0; refused() < calls + 10_000; key = (key + 1) % 100) map.set(key, -key);
    assert.equal(entered(), last, "it never entered again");
    assert.equal(cell.get(), last);
    for (const [key, value] of map) assert.equal(value, -key);
    assert.ok(region.read().every((byte) => byte === round));

    // Its thread has ended: the next one has the seat.
    await worker.thread.terminate();
    await heap.audit();
    assert.equal(heap.stats().quarantined, 0);
    const { heap: third, wasm: ofThird } = await attachWithExports(heap.token());
    assert.equal(ofThird.agent.value, seat);
    third.detach();
    next.detach();
    cell.dispose();
    live.push((await heap.audit()).liveBytes);
  }
  assert.deepEqual(new Set(live), new Set([before.liveBytes]));
  heap.detach();
  cases("wasm_loop_that_goes_on_never_enters_again", rounds);
});
