// Pipes that cannot go on without a worker end with it; all others stay open.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
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
  const blocked = reader.run((heap) => heap.pipe("pipe").readSync());
  const pending = [pipe.read(), pipe.lease(), ...[...Array(9)].map(() => pipe.read({ until: "." }))];
  await sleep(30);
  const lost = new Promise((resolve) => heap.on("agentlost", resolve));
  await heap.terminate(writer.thread);
  assert.equal((await lost).agents, 1);
  for (const one of pending) {
    const { details } = await refuses(() => one, "COHEAP_AGENT_LOST");
    assert.equal(typeof details.agent, "number");
  }
  await assert.rejects(blocked, { code: "COHEAP_AGENT_LOST" });
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
