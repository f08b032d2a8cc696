import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, watchdog } from "./support.mjs";

watchdog(240);

test("no_slot_is_an_error_that_says_how_many_are_quarantined", async () => {
  const heap = await SharedHeap.create({ maximum: "1GiB" });
  const agents = [heap];
  const error = refuses(() => {
    for (;;) agents.push(SharedHeap.attach(heap.token()));
  }, "COHEAP_NO_SLOT");
  assert.equal(agents.length, 4096);
  assert.deepEqual(error.details, { slots: 4096, quarantined: 0 });
  assert.match(error.message, /4096/);
  assert.equal(heap.stats().agents, 4096);
  agents.forEach((agent) => {
    agent.cell("sum").add(1);
  });
  assert.equal(heap.cell("sum").get(), 4096);
  await heap.audit({ timeout: 20_000 });

  // A seat that is left can be taken again, many times.
  for (let round = 0; round < 500; round++) {
    agents[1 + round].detach();
    agents[1 + round] = SharedHeap.attach(heap.token());
    refuses(() => SharedHeap.attach(heap.token()), "COHEAP_NO_SLOT");
  }
  for (const agent of agents.slice(1)) agent.detach();
  assert.equal(heap.stats().agents, 1);
  await heap.audit();
  cases("no_slot_is_an_error_that_says_how_many_are_quarantined", 4096 + 500);
});
