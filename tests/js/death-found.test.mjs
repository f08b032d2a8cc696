// Workers that ended: found whoever started them and whoever ended them, also by a parent that blocks.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(120);

const worker = new URL("./agent-worker.mjs", import.meta.url);

/** The next that is lost. */
function nextLost(heap) {
  return new Promise((resolve) => {
    const listening = heap.on("agentlost", (lost) => {
      listening[Symbol.dispose]();
      resolve(lost);
    });
  });
}

/** Starts a worker from a worker, `agent`, and leaves it as `globalThis.child` there. */
async function startChild(agent, heap) {
  await agent.run(
    async (_, file, token) => {
      const { Worker } = process.getBuiltinModule("node:worker_threads");
      const child = new Worker(new URL(file), { workerData: { token, face: "worker" } });
      child.on("error", () => {});
      await new Promise((resolve) => child.once("message", resolve));
      globalThis.child = child;
    },
    String(worker),
    heap.token(),
  );
}

test("worker_that_nobody_adopted_is_found_when_it_ends", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats();
  const fills = "() => { for (const all = []; ; ) all.push(new Array(1_000_000).fill({})); }";
  const ends = [
    ({ thread }) => thread.terminate(),
    // More than its limit: Node ends it.
    ({ thread }) => thread.on("error", () => {}).postMessage({ body: fills, values: [] }),
    ({ thread }) => thread.postMessage({ body: "() => process.exit(3)", values: [] }),
    ({ thread }) =>
      thread.postMessage({ body: "() => { for (;;); }", values: [] }) ?? sleep(20).then(() => thread.terminate()),
  ];
  for (const end of ends) {
    const agent = await RemoteAgent.start(heap, { adopt: false, resourceLimits: { maxOldGenerationSizeMb: 32 } });
    await agent.run((heap) => {
      globalThis.held = [heap.map(), heap.bytes(undefined, 50_000)];
    });
    const lost = nextLost(heap);
    void end(agent);
    const { agents, recovery } = await lost;
    assert.equal(agents, 1);
    assert.equal(recovery.proof, "exit");
    assert.ok(recovery.reclaimedBytes > 50_000);
    const { liveBytes, agents: seated, quarantined } = await heap.audit();
    assert.deepEqual([liveBytes, seated, quarantined], [before.liveBytes, 1, 0]);
  }
  heap.detach();
  cases("worker_that_nobody_adopted_is_found_when_it_ends", ends.length);
});

test("end_of_a_worker_proves_that_of_the_workers_it_started", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats();
  const agent = await RemoteAgent.start(heap);
  await startChild(agent, heap);
  await agent.run(() => {
    globalThis.child.postMessage({
      body: "(heap) => { globalThis.held = heap.bytes(undefined, 70_000); for (;;) heap.cell('beat').add(1); }",
      values: [],
    });
  });
  const beat = heap.cell("beat");
  while (beat.get() < 1000) await sleep(1);
  assert.equal(heap.stats().agents, 3);
  const lost = nextLost(heap);
  const recovery = await heap.terminate(agent.thread);
  assert.deepEqual(await lost, { agents: 2, recovery });
  assert.equal(recovery.proof, "exit");
  assert.ok(recovery.reclaimedBytes > 70_000);
  const last = beat.get();
  await sleep(50);
  assert.equal(beat.get(), last, "it does not run any more");
  heap.remove("beat");
  beat.dispose();
  const { liveBytes, agents, quarantined } = await heap.audit();
  assert.deepEqual([liveBytes, agents, quarantined], [before.liveBytes, 1, 0]);
  heap.detach();
  cases("end_of_a_worker_proves_that_of_the_workers_it_started", 2);
});

test("parent_that_blocks_hears_that_a_worker_is_lost", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  const full = heap.pipe("full", { capacity: 4_096 });
  while (full.tryWrite("x".repeat(64)) > 0);
  const waits = {
    "pipe.readSync": (heap) => heap.pipe("pipe").readSync(),
    "pipe.leaseSync": (heap) => heap.pipe("pipe").leaseSync(),
    "pipe.writeSync": (heap) => heap.pipe("full").writeSync("there is no room for it"),
    "pipe.writeManySync": (heap) => heap.pipe("full").writeManySync(["there is no room", "for any"]),
    "pipe.readSync with a timeout": (heap) => heap.pipe("pipe").readSync({ timeout: 60_000 }),
    "cell.waitSync": (heap) => heap.cell("nobody changes it").waitSync(0),
    "cell.waitSync of text": (heap) => heap.cell("text", "nobody changes it").waitSync("nobody changes it"),
  };
  for (const [name, wait] of Object.entries(waits)) {
    const parent = await RemoteAgent.start(heap);
    await startChild(parent, heap);
    const blocking = parent.run(async (heap, wait) => {
      const lost = new Promise((resolve) => heap.on("agentlost", resolve));
      globalThis.child.postMessage({ body: "() => setTimeout(() => process.exit(), 30)", values: [] });
      let code;
      try {
        process.getBuiltinModule("node:vm").runInThisContext(wait)(heap);
      } catch (error) {
        ({ code } = error);
      }
      // With the event loop comes the proof.
      return { code, lost: await lost };
    }, `(${wait})`);
    const { code, lost } = await blocking;
    assert.equal(code, "COHEAP_AGENT_LOST", name);
    assert.deepEqual([lost.agents, lost.recovery.proof], [1, "exit"], name);
    await parent.stop();
  }
  // One that left the heap before it ended is no reason to stop waiting.
  const parent = await RemoteAgent.start(heap);
  await startChild(parent, heap);
  const reading = parent.run((heap) => {
    globalThis.child.postMessage({ body: "(heap) => { heap.detach(); process.exit(); }", values: [] });
    return heap.pipe("pipe").readSync().length;
  });
  await sleep(400);
  await pipe.write("five!");
  assert.equal(await reading, 5);
  await parent.stop();
  assert.equal((await heap.audit()).agents, 1);
  heap.detach();
  cases("parent_that_blocks_hears_that_a_worker_is_lost", Object.keys(waits).length + 1);
});

test("worker_adopted_after_its_end_is_reaped", async () => {
  const heap = await SharedHeap.create();
  const token = heap.token();
  const before = heap.stats().liveBytes;
  const thread = new Worker(worker, { workerData: { token, face: "worker" } });
  await once(thread, "message");
  thread.postMessage({ body: "(heap) => { heap.bytes('kept', 10); heap.bytes(undefined, 9000); }", values: [] });
  await once(thread, "message");
  await thread.terminate();
  heap.adopt(thread, token);
  const { agents, quarantined, liveBytes } = await heap.audit();
  assert.deepEqual([agents, quarantined], [1, 0]);
  assert.ok(liveBytes < before + 9000);
  assert.deepEqual([heap.stats().adopted, heap.stats().exited], [1, 1]);
  refuses(() => heap.adopt(thread, token), "COHEAP_ADOPTED");
  heap.detach();
  cases("worker_adopted_after_its_end_is_reaped", 1);
});
