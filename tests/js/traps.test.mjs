// Agents that a trap stops in the middle of an operation: the error is their caller's, the others go on, and what they left is given back.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { everyOperation } from "./every-operation.mjs";
import { randomFrom } from "./random.mjs";
import { STOPS, stoppingModule } from "./stopping-module.mjs";
import { cases, seededRandom, testedWasm, times, watchdog } from "./support.mjs";

const alive = watchdog(120);

const EACH = times("COHEAP_TRAPS", 50);
const AGENTS_OF_A_WORKER = 25;
const ERRORS = {
  [STOPS[0]]: /^COHEAP_AGENT_LOST: RuntimeError in .*: unreachable$/,
  [STOPS[1]]: /^COHEAP_AGENT_LOST: RuntimeError in .*: memory access out of bounds$/,
  [STOPS[2]]: /^thrown on: Error in .*: thrown by an import$/,
  "end of the shadow stack": /^COHEAP_AGENT_LOST: RuntimeError in .*: unreachable$/,
};
const worker = new URL("./trapped-worker.mjs", import.meta.url);

async function figures(heap) {
  for (let i = 0; i < 1_000; i++) heap.cell().dispose();
  const { liveBytes, agents, quarantined } = await heap.audit({ timeout: 30_000 });
  return { liveBytes, agents, quarantined };
}

/** So many agents are stopped in each of these ways; answers how many. */
async function stopAgents(random, ways, each) {
  const module = stoppingModule(testedWasm());
  let traps = 0;
  for (const how of ways) {
    const heap = await SharedHeap.create({ wasm: module });
    const before = await figures(heap);
    const bystander = attach(heap.token());
    const { operations, names } = everyOperation(bystander);
    const all = Object.values(operations);
    for (let left = each; left > 0; left -= AGENTS_OF_A_WORKER) {
      const count = Math.min(left, AGENTS_OF_A_WORKER);
      const tokens = Array.from({ length: count }, () => heap.token());
      const thread = new Worker(worker, { workerData: { tokens, how, seed: random(2 ** 31) } });
      for (const token of tokens) heap.adopt(thread, token);
      assert.deepEqual(await once(thread, "message"), ["ready"]);
      for (let i = 0; i < count; i++) {
        thread.postMessage("next");
        const [error] = await once(thread, "message");
        assert.match(error, ERRORS[how]);
        traps++;
        // The one that was stopped is there still, and nobody waits for it.
        for (let step = 0; step < 20; step++) all[random(all.length)]();
      }
      const { proof } = await heap.terminate(thread);
      // Where it took long, who looks each second has found that all of its agents are broken.
      assert.ok(proof === "exit" || proof === "fence", proof);
      await heap.audit();
      alive();
    }
    bystander.detach();
    for (const name of names) heap.remove(name);
    assert.deepEqual(await figures(heap), before, how);
    heap.detach();
  }
  return traps;
}

test("trap_in_an_operation_is_its_callers_and_leaves_the_heap_to_the_others", async () => {
  const traps = await stopAgents(seededRandom(), Object.keys(ERRORS), EACH);
  cases("trap_in_an_operation_is_its_callers_and_leaves_the_heap_to_the_others", traps);
});

test("what_a_broken_agent_holds_is_its_own_until_it_is_reaped", async () => {
  // Others took apart what one of these had stopped in the middle of counting.
  const traps = await stopAgents(randomFrom(836_725_580), [STOPS[0]], 500);
  cases("what_a_broken_agent_holds_is_its_own_until_it_is_reaped", traps);
});
