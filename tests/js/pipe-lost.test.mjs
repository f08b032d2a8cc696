// Pipes that cannot go on without a worker end with it; all others stay open.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(60);

/** A worker that writes `text` into the pipe and then waits for ever, and on whom `pipes` depend. */
async function startWriter(heap, text, pipes) {
  const agent = await RemoteAgent.start(heap, { pipes });
  await agent.run((heap, text) => heap.pipe("pipe").writeSync(text), text);
  return agent;
}

test("pipe_that_needs_a_worker_ends_with_it", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe", { capacity: 4096 });
  const writer = await startWriter(heap, "half a mess", [pipe]);
  assert.equal(new TextDecoder().decode(await pipe.read()), "half a mess");
  const reader = await RemoteAgent.start(heap);
  // Whoever ends first is heard at once.
  const blocked = assert.rejects(
    reader.run((heap) => heap.pipe("pipe").readSync()),
    { code: "COHEAP_AGENT_LOST" },
  );
  const waiting = [pipe.read(), pipe.lease(), ...[...Array(9)].map(() => pipe.read({ until: "." }))];
  const pending = waiting.map((one) => refuses(() => one, "COHEAP_AGENT_LOST"));
  await sleep(30);
  const lost = new Promise((resolve) => heap.on("agentlost", resolve));
  await heap.terminate(writer.thread);
  assert.equal((await lost).agents, 1);
  for (const { details } of await Promise.all(pending)) assert.equal(typeof details.agent, "number");
  await blocked;
  await refuses(() => pipe.write("more"), "COHEAP_AGENT_LOST");
  await assert.rejects(
    async () => {
      for await (const _ of pipe.readable) assert.fail("nothing is there");
    },
    { code: "COHEAP_AGENT_LOST" },
  );
  pipe.abort("later"); // the first reason stays
  await refuses(() => pipe.read(), "COHEAP_AGENT_LOST");
  await heap.audit();
  await reader.stop();
  heap.detach();
  cases("pipe_that_needs_a_worker_ends_with_it", pending.length + 4);
});

test("pipe_stays_open_when_a_worker_is_lost_unless_it_needs_it", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  const other = heap.pipe("other");
  // By default another one takes over.
  const first = await startWriter(heap, "one ", undefined);
  const reading = other.read();
  await heap.terminate(first.thread);
  const second = await startWriter(heap, "two", [pipe]);
  // It has said all that it had to say.
  await second.run((heap) => heap.pipe("pipe").close());
  await heap.terminate(second.thread);
  let text = "";
  for await (const bytes of pipe) text += new TextDecoder().decode(bytes);
  assert.equal(text, "one two");
  // One that leaves is not lost.
  const third = await RemoteAgent.start(heap, { pipes: [other] });
  await third.stop();
  await other.write("still open");
  assert.equal((await reading).length, 10);
  const fourth = await RemoteAgent.start(heap, { pipes: [other] });
  other.dispose();
  heap.remove("other");
  await heap.terminate(fourth.thread); // nothing is left to end
  for (const pipes of [7, [7], [heap.cell()]])
    refuses(() => heap.adopt(fourth.thread, heap.token(), { pipes }), "COHEAP_INVALID_ARGUMENT");
  await heap.audit();
  heap.detach();
  cases("pipe_stays_open_when_a_worker_is_lost_unless_it_needs_it", 7);
});

/** A worker whose only agent stops in the middle of a call, by a trap. */
const TRAPPED = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(workerData.support).then(async ({ attachWithExports }) => {
    const { heap, wasm } = await attachWithExports(workerData.token);
    const map = heap.map("map");
    wasm.__stack_limit.value = 0x7fff_ffff;
    try {
      map.set("key", 1);
    } catch ({ code }) {
      parentPort.postMessage(code);
    }
    setInterval(() => {}, 1000);
  });
`;

test("worker_that_another_agent_has_reaped_is_told_of_to_who_adopted_it", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  const told = [];
  heap.on("agentlost", (lost) => told.push(lost));
  const token = heap.token();
  const support = new URL("support.mjs", import.meta.url).href;
  const worker = new Worker(TRAPPED, { eval: true, workerData: { token, support } });
  heap.adopt(worker, token, { pipes: [pipe] });
  const code = await new Promise((resolve) => worker.once("message", resolve));
  assert.equal(code, "COHEAP_AGENT_LOST");
  const reading = refuses(() => pipe.read(), "COHEAP_AGENT_LOST");
  // Who comes next reaps whoever is condemned and in no operation.
  const next = SharedHeap.attach(heap.token());
  while (heap.stats().quarantined === 0) await sleep(1);
  assert.deepEqual(told, []);
  await worker.terminate();
  await reading;
  assert.deepEqual(
    told.map(({ agents, recovery, error }) => [agents, recovery, error]),
    [[1, { proof: "exit", reclaimedBytes: 0, repaired: 0 }, undefined]],
  );
  const { agents, quarantined } = await heap.audit();
  assert.deepEqual({ agents, quarantined }, { agents: 2, quarantined: 0 });
  next.detach();
  heap.detach();
  cases("worker_that_another_agent_has_reaped_is_told_of_to_who_adopted_it", 1);
});
