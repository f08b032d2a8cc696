// A trap inside wasm: the agent gives its seat up, with a typed error, and everybody else goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attachWithExports, cases, refuses, watchdog } from "./support.mjs";

watchdog(60);

test("agent_that_traps_gives_its_seat_up", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("map");
  const rounds = 50;
  const before = await heap.audit();
  for (let round = 1; round <= rounds; round++) {
    const { heap: other, wasm } = await attachWithExports(heap.token());
    const held = [other.map(), other.bytes(undefined, 20_000)];
    const shared = other.map("map");
    const waiting = other.cell("never").waitAsync(0);
    // The check of the stack traps wherever a frame is made.
    const { value } = wasm.__stack_limit;
    wasm.__stack_limit.value = 0x7fff_ffff;
    const error = refuses(
      () => shared.set(`key ${round}`, "a value that needs a block".repeat(round)),
      "COHEAP_AGENT_LOST",
    );
    wasm.__stack_limit.value = value;
    assert.ok(error.cause instanceof WebAssembly.RuntimeError);
    for (const call of [() => shared.size, () => other.stats(), () => held[0].set("a", 1), () => other.token()])
      refuses(call, "COHEAP_AGENT_LOST");
    await refuses(() => waiting, "COHEAP_AGENT_LOST");
    other.detach();
    const { agents, quarantined, liveBytes } = await heap.audit();
    assert.deepEqual([agents - quarantined, quarantined], [1, round]);
    map.delete(`key ${round}`);
    assert.ok(liveBytes < before.liveBytes + 10_000, `${liveBytes} bytes are live after ${round} rounds`);
    map.set("the others", round);
    assert.equal(map.get("the others"), round);
  }
  heap.detach();
  cases("agent_that_traps_gives_its_seat_up", rounds);
});
