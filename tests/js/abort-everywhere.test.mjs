// An exception at the beginning of each function of heap.wasm that an operation runs through: the agent goes on, and nothing is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { everyOperation } from "./every-operation.mjs";
import { Stop, stoppingModule } from "./stopping-module.mjs";
import { cases, testedWasm, watchdog, withExports } from "./support.mjs";

watchdog(240);

const HOW = "exception of an import";
const THROWN = /^Error: thrown by an import$/;
/** More than any operation here runs through. */
const MOST = 5_000;

/** A heap, an agent of it, and what stops that agent. */
async function stoppable() {
  const host = await SharedHeap.create({ wasm: stoppingModule(testedWasm()) });
  let exports;
  const keep = (found) => {
    exports = found;
    return found;
  };
  const agent = await withExports(keep, () => attach(host.token()));
  return { host, agent, exports, stop: new Stop(exports) };
}

async function liveBytes(heap) {
  for (let i = 0; i < 1_000; i++) heap.cell().dispose();
  return (await heap.audit()).liveBytes;
}

test("abort_at_every_function_inside_leaves_the_agent_and_the_heap_well", async () => {
  const { host, agent, exports, stop } = await stoppable();
  const before = await liveBytes(host);
  const { operations, names } = everyOperation(agent);
  const top = exports.__stack_pointer.value;
  let aborts = 0;
  for (const [name, operation] of Object.entries(operations)) {
    for (let at = 1; ; at++) {
      const error = stop.during(at, HOW, operation);
      if (error === undefined) break;
      assert.match(String(error), THROWN, `${name}, at ${at}: ${error.stack}`);
      assert.ok(at < MOST, `${name} ends`);
      aborts++;
      operation();
      agent.stats(); // not every operation enters
      assert.equal(exports.__stack_pointer.value, top, `${name}, at ${at}: the stack pointer is back`);
      if (at % 3 === 0) await null;
      await host.audit();
    }
    operation();
  }
  agent.detach();
  for (const name of names) host.remove(name);
  assert.equal(await liveBytes(host), before);
  console.log(`# ${aborts} aborts of ${Object.keys(operations).length} operations`);
  cases("abort_at_every_function_inside_leaves_the_agent_and_the_heap_well", aborts);
});

test("abort_at_every_function_of_a_lease_leaves_no_bytes_on_loan", async () => {
  const { host, agent, stop } = await stoppable();
  const { operations } = everyOperation(agent);
  let aborts = 0;
  for (const [name, operation] of Object.entries(operations).filter(([name]) => name.startsWith("lease"))) {
    for (let at = 1, entered = 0; at === 1 || at <= entered; at++) {
      // A pipe has 31 leases out at most.
      for (let i = 0; i < 32; i++) {
        if (stop.during(at, HOW, operation) !== undefined) aborts++;
      }
      assert.doesNotThrow(operation, `${name}, at ${at}`);
      stop.during(MOST, HOW, operation);
      entered = stop.entered;
    }
  }
  await host.audit();
  cases("abort_at_every_function_of_a_lease_leaves_no_bytes_on_loan", aborts);
});
