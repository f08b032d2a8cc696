import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attachWithExports, cases, refuses, watchdog } from "./support.mjs";

watchdog(240);

const picture = ({ buffer }) => createHash("sha256").update(new Uint8Array(buffer)).digest("hex");

/** Takes a seat and traps in it: it stays taken, because nobody can prove that its thread has ended. */
async function trapInASeat(heap) {
  const { heap: other, wasm } = await attachWithExports(heap.token());
  const { value } = wasm.__stack_limit;
  wasm.__stack_limit.value = 0x7fff_ffff;
  refuses(() => other.map("map").set("key", "a value that needs a block".repeat(3)), "COHEAP_AGENT_LOST");
  wasm.__stack_limit.value = value;
}

test("no_slot_is_an_error_that_says_how_many_are_quarantined", async () => {
  const heap = await SharedHeap.create({ maximum: "1GiB" });
  const lost = 2;
  for (let i = 0; i < lost; i++) await trapInASeat(heap);
  await heap.audit();
  const agents = [heap];
  const error = refuses(() => {
    for (;;) agents.push(SharedHeap.attach(heap.token()));
  }, "COHEAP_NO_SLOT");
  assert.equal(agents.length, 4096 - lost);
  assert.deepEqual(error.details, { slots: 4096, quarantined: lost });
  assert.match(error.message, /4096/);
  assert.equal(heap.stats().agents, 4096);
  agents.forEach((agent) => {
    agent.cell("sum").add(1);
  });
  assert.equal(heap.cell("sum").get(), 4096 - lost);
  await heap.audit({ timeout: 20_000 });

  // Who is refused changes no byte.
  const token = heap.token();
  const before = picture(token.memory);
  refuses(() => SharedHeap.attach(token), "COHEAP_NO_SLOT");
  assert.ok(picture(token.memory) === before, "a refused attach changed a byte");

  // A seat that is left can be taken again, many times.
  for (let round = 0; round < 500; round++) {
    agents[1 + round].detach();
    agents[1 + round] = SharedHeap.attach(heap.token());
    refuses(() => SharedHeap.attach(heap.token()), "COHEAP_NO_SLOT");
  }
  for (const agent of agents.slice(1)) agent.detach();
  assert.equal(heap.stats().agents, 1 + lost);
  await heap.audit();
  cases("no_slot_is_an_error_that_says_how_many_are_quarantined", 4096 + 500);
});
