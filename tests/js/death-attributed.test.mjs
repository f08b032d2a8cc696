// Who is lost is who is named: beside agents that broke, agents that left, and several agents in one thread.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attachWithExports, cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(60);

/** An agent of this thread that has given its seat up, and that nobody has reaped yet. */
async function broken(heap) {
  const { heap: agent, wasm } = await attachWithExports(heap.token());
  wasm.__stack_limit.value = 0x7fff_ffff;
  refuses(() => agent.map(), "COHEAP_AGENT_LOST");
}

test("pipe_of_a_worker_that_left_stays_open_when_another_agent_breaks", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  const worker = await RemoteAgent.start(heap, { pipes: [pipe] });
  await worker.run((heap) => heap.detach());
  const told = [];
  heap.on("agentlost", ({ agents, recovery }) => told.push([agents, recovery.proof]));
  await broken(heap);
  const recovery = await heap.terminate(worker.thread);
  assert.deepEqual(recovery, { proof: "exit", reclaimedBytes: 0, repaired: 0 }, "it had left");
  await pipe.write("still open");
  await heap.audit();
  assert.deepEqual(told, [[1, "fence"]]);
  heap.detach();
  cases("pipe_of_a_worker_that_left_stays_open_when_another_agent_breaks", 1);
});

test("pipe_ends_with_a_worker_whose_agent_broke_and_was_reaped_before_its_end", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  const worker = await RemoteAgent.start(heap);
  const token = heap.adopt(worker.thread, undefined, { pipes: [pipe] });
  const code = await worker.run(async (heap, token) => {
    heap.detach(); // the one that breaks is the worker's only agent
    const { heap: broken, wasm } = await attachWithExports(token);
    wasm.__stack_limit.value = 0x7fff_ffff;
    try {
      broken.map();
    } catch ({ code }) {
      return code;
    }
  }, token);
  assert.equal(code, "COHEAP_AGENT_LOST");
  const told = [];
  heap.on("agentlost", ({ agents, recovery }) => told.push([agents, recovery.proof]));
  const reading = refuses(() => pipe.read(), "COHEAP_AGENT_LOST");
  assert.equal((await heap.audit()).quarantined, 1, "reaped by the fence");
  await reading;
  worker.thread.terminate();
  await once(worker.thread, "exit");
  assert.equal((await heap.audit()).quarantined, 0);
  assert.deepEqual(told, [[1, "fence"]]);
  heap.detach();
  cases("pipe_ends_with_a_worker_whose_agent_broke_and_was_reaped_before_its_end", 1);
});

test("each_agent_of_a_thread_hears_of_the_worker_that_it_has_adopted", async () => {
  const first = await SharedHeap.create();
  const second = await SharedHeap.attach(first.token());
  const pipe = second.pipe("pipe");
  const worker = await RemoteAgent.start(second, { pipes: [pipe] });
  await worker.run((heap) => {
    globalThis.held = [...Array(3000)].map((_, i) => heap.bytes(undefined, 100 + i));
  });
  const { liveBytes } = first.stats();
  const recovery = await second.terminate(worker.thread);
  assert.ok(first.stats().liveBytes < liveBytes - 300_000, "all is given back by now");
  assert.equal(recovery.proof, "exit");
  assert.ok(recovery.reclaimedBytes > 300_000, `${recovery.reclaimedBytes} bytes`);
  await refuses(() => pipe.read(), "COHEAP_AGENT_LOST");
  second.detach();
  first.detach();
  cases("each_agent_of_a_thread_hears_of_the_worker_that_it_has_adopted", 1);
});
