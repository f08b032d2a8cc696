import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(240);

/** Works for some milliseconds, turning its event loop every `turn` milliseconds. */
async function work(heap, milliseconds, turn) {
  const end = performance.now() + milliseconds;
  const cell = heap.cell("work");
  let kept = [];
  for (let i = 0; performance.now() < end; ) {
    for (const until = performance.now() + turn; performance.now() < until; i++) {
      cell.add(1);
      kept.push(heap.bytes(undefined, 16 + (i % 5000)));
      if (kept.length > 200) {
        for (const block of kept) block.dispose();
        kept = [];
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  for (const block of kept) block.dispose();
}

test("audit_of_a_live_heap_succeeds_between_the_turns_of_others", async () => {
  const heap = await SharedHeap.create();
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const working = agents.map((agent) => agent.run(work, 3000, 1));
  let audits = 0;
  let busy = 0;
  let done = false;
  const all = Promise.all(working).then(() => {
    done = true;
  });
  while (!done) {
    try {
      const figures = await heap.audit();
      assert.equal(figures.agents, 3);
      audits++;
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_BUSY")) throw error;
      busy++;
    }
    await new Promise((resolve) => setTimeout(resolve)); // an audit that waits for nobody never turns the event loop
  }
  await all;
  await heap.audit();
  console.log(`${audits} audits, ${busy} busy`);
  assert.ok(audits > 0);
  await Promise.all(agents.map((agent) => agent.stop()));
  cases("audit_of_a_live_heap_succeeds_between_the_turns_of_others", audits);
});

test("audit_makes_an_agent_that_may_block_pause", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const cell = heap.cell("stop");
  const spinning = agent.run((other) => {
    const stop = other.cell("stop");
    while (stop.get() === 0);
  });
  for (let i = 0; i < 20; i++) await heap.audit({ timeout: 20_000 });
  cell.set(1);
  await spinning;
  await agent.stop();
  cases("audit_makes_an_agent_that_may_block_pause", 20);
});

test("audit_beside_an_agent_that_stays_in_its_turn_ends_as_busy", async () => {
  const heap = await SharedHeap.create();
  const rounds = 10;
  for (const face of ["host", "worker"]) {
    const agent = await RemoteAgent.start(heap, { face });
    for (let round = 0; round < rounds; round++) {
      const flags = new SharedArrayBuffer(8);
      const words = new Int32Array(flags);
      const staying = agent.run((other, flags) => {
        const words = new Int32Array(flags);
        for (let i = 0; i < 10; i++) other.cell("x").add(1); // from the fifth on it stays entered until the turn ends
        Atomics.store(words, 0, 1);
        Atomics.wait(words, 1, 0);
        return other.cell("x").add(1);
      }, flags);
      while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      const error = await refuses(() => heap.audit({ timeout: 30 }), "COHEAP_BUSY");
      assert.ok(error.details.agent > 0, "the error names the agent");
      Atomics.store(words, 1, 1);
      Atomics.notify(words, 1);
      await staying; // the gate is open again: it can work
    }
    await heap.audit();
    await agent.stop();
  }
  assert.equal(heap.cell("x").get(), 2 * rounds * 11);
  cases("audit_beside_an_agent_that_stays_in_its_turn_ends_as_busy", 2 * rounds);
});

test("audit_of_the_same_thread_is_not_waited_for", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell("x");
  const bystander = attach(heap.token());
  const agent = await RemoteAgent.start(heap);
  const words = new Int32Array(new SharedArrayBuffer(8));
  const staying = agent.run((other, words) => {
    for (let i = 0; i < 10; i++) other.cell("x").add(1); // from the fifth on it stays entered until the turn ends
    Atomics.store(words, 0, 1);
    Atomics.wait(words, 1, 0);
  }, words);
  while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const { wait } = Atomics;
  let waits = 0;
  Atomics.wait = (...given) => {
    waits++;
    return wait(...given);
  };
  const audit = heap.audit({ timeout: 20_000 });
  for (let step = 0; step < 20; step++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    bystander.cell("x").add(1);
  }
  Atomics.wait = wait;
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  await staying;
  await audit;
  assert.equal(waits, 0);
  assert.equal(cell.get(), 30);
  await agent.stop();
  cases("audit_of_the_same_thread_is_not_waited_for", 20);
});

test("audit_cut_short_by_detach_leaves_the_gate_open", async () => {
  const heap = await SharedHeap.create();
  const auditor = SharedHeap.attach(heap.token());
  const agent = await RemoteAgent.start(heap);
  const words = new Int32Array(new SharedArrayBuffer(8));
  const staying = agent.run((other, words) => {
    const cell = other.cell("x");
    for (let i = 0; i < 10; i++) cell.add(1); // from the fifth on it stays entered until the turn ends
    Atomics.store(words, 0, 1);
    const { wait } = Atomics;
    wait(words, 1, 0);
    let waits = 0;
    Atomics.wait = (...given) => {
      waits++;
      return wait(...given);
    };
    cell.add(1);
    Atomics.wait = wait;
    return waits;
  }, words);
  while (Atomics.load(words, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const audit = refuses(() => auditor.audit(), "COHEAP_DETACHED");
  await new Promise((resolve) => setTimeout(resolve, 20));
  auditor.detach();
  await audit;
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  assert.equal(await staying, 0, "nobody waits for an auditor that has left");
  await heap.audit();
  await agent.stop();
  cases("audit_cut_short_by_detach_leaves_the_gate_open", 1);
});

test("audits_at_the_same_time_all_end", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const audits = Array.from({ length: 50 }, (_, i) => (i % 2 ? heap : other).audit({ timeout: 20_000 }));
  for (const figures of await Promise.all(audits)) assert.equal(figures.agents, 2);
  cases("audits_at_the_same_time_all_end", audits.length);
});

test("stats_follow_what_is_made_and_freed", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats();
  const blocks = Array.from({ length: 100 }, () => heap.bytes(undefined, 10_000));
  const during = heap.stats();
  assert.ok(during.liveBytes - before.liveBytes >= 1_000_000, JSON.stringify([before, during]));
  for (const block of blocks) block.dispose();
  assert.ok(heap.stats().liveBytes < before.liveBytes + 100_000);
  const { memoryBytes, agents, quarantined, adopted, exited } = heap.stats();
  assert.equal(memoryBytes, heap.token().memory.buffer.byteLength);
  assert.deepEqual({ agents, quarantined, adopted, exited }, { agents: 1, quarantined: 0, adopted: 0, exited: 0 });
});
