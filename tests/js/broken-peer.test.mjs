// An agent that a trap broke, whose thread lives on: nobody is told of it, and others have soon what it had.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attachWithExports, cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(60);

const text = (bytes) => new TextDecoder().decode(bytes);

/** Takes all bytes of the pipe on loan and breaks: they are in nobody's hands. */
async function breakWithLease(heap) {
  const { heap: other, wasm } = await attachWithExports(heap.token());
  const lease = await other.pipe("pipe").lease();
  const { value } = wasm.__stack_limit;
  // The check of the stack traps wherever a frame is made.
  wasm.__stack_limit.value = 0x7fff_ffff;
  const error = refuses(() => other.map("map").set("key", "a value that needs a block"), "COHEAP_AGENT_LOST");
  wasm.__stack_limit.value = value;
  assert.ok(error.cause instanceof WebAssembly.RuntimeError);
  return { other, lease };
}

test("what_a_broken_agent_had_goes_to_one_that_waits_for_it", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  await pipe.write("on loan");
  await breakWithLease(heap);
  assert.equal(text(await pipe.read()), "on loan");
  heap.detach();
  cases("what_a_broken_agent_had_goes_to_one_that_waits_for_it", 1);
});

test("what_a_broken_agent_had_goes_to_one_that_blocks_for_it_while_nobody_else_looks", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  await pipe.write("on loan");
  const reader = await RemoteAgent.start(heap);
  await breakWithLease(heap);
  // From here on the reader is the only agent, and its event loop stands still.
  heap.detach();
  const read = await reader.run((heap) => new TextDecoder().decode(heap.pipe("pipe").readSync()));
  assert.equal(read, "on loan");
  await reader.stop();
  cases("what_a_broken_agent_had_goes_to_one_that_blocks_for_it_while_nobody_else_looks", 1);
});

test("broken_agent_is_reaped_though_nobody_waits_for_anything", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("pipe");
  await pipe.write("on loan");
  const lost = new Promise((resolve) => heap.on("agentlost", resolve));
  await breakWithLease(heap);
  // The timer that looks keeps no process alive, and the runner has nothing else to do.
  const stay = setInterval(() => {}, 1000);
  const { agents, recovery } = await lost;
  clearInterval(stay);
  assert.deepEqual([agents, recovery.proof], [1, "fence"]);
  assert.equal(pipe.available, 0); // without what came back from leases
  assert.equal(text(await pipe.read()), "on loan");
  heap.detach();
  cases("broken_agent_is_reaped_though_nobody_waits_for_anything", 1);
});

test("look_of_an_agent_that_was_reaped_throws_nothing_into_the_event_loop", async ({ mock }) => {
  mock.timers.enable({ apis: ["setInterval"] });
  const { heap, wasm } = await attachWithExports((await SharedHeap.create()).token());
  const life = Symbol.for("coheap.life");
  const own = globalThis[life];
  globalThis[life] = { high: 7, low: 9 };
  const other = SharedHeap.attach(heap.token());
  globalThis[life] = own;
  assert.equal(wasm.coheap_condemn(9, 7), 0);
  while (wasm.coheap_reap(9, 7, 1) !== 1);
  for (let i = 0; i < 3; i++) mock.timers.tick(10_000);
  refuses(() => other.cell(), "COHEAP_AGENT_LOST");
  cases("look_of_an_agent_that_was_reaped_throws_nothing_into_the_event_loop", 1);
});
