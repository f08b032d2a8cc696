// A death at every point of every public operation, with one other agent and with three: reaped by another, the heap is whole, holds
// what it held before or after, goes on, and gives back every byte.
//
// A point is a place of the shipped code before a change of shared memory (tools/src/crash_points.rs). Two points between which the heap
// has not changed, but for the shadow stack of the one who dies, are one death.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, watchdog } from "../js/support.mjs";
import { prepare } from "./heap-under-test.mjs";
import { shipped } from "./instance.mjs";
import { all } from "./operations/all.mjs";
import { calls } from "./operations/calls.mjs";
import { deaths } from "./operations/deaths.mjs";
import { atoms } from "./operations/maps.mjs";
import { growth } from "./operations/objects.mjs";
import { dieAtEveryPoint, SETTINGS } from "./trial.mjs";
import { World } from "./world.mjs";

watchdog(1_200);

const world = await World.make(prepare, { maximum: "3MiB", fixed: true });
const growing = await World.make(prepare, { maximum: "8MiB" });

/** Functions of the module that no operation here calls, by where else agents die in them. */
const ELSEWHERE = {
  "attach.test.mjs": [
    ...["coheap_start", "coheap_version", "coheap_initialize", "coheap_claim", "coheap_attach", "coheap_abandon"],
    ...["coheap_slot_of", "coheap_incarnation", "coheap_stack_base", "coheap_stack_top"],
    ...["coheap_transfer", "coheap_transfer_length"],
  ],
  "reaper.test.mjs": ["coheap_reap", "coheap_finish"],
};
const called = new Set(Object.values(ELSEWHERE).flat());

for (const [kind, operations] of Object.entries({ ...all, deaths, calls, growth, atoms })) {
  const name = `death_at_every_point_of_operations_on_${kind}`;
  test(name, async () => {
    let count = 0;
    for (const operation of operations) {
      const counts = [];
      for (const setting of SETTINGS) {
        const {
          points,
          deaths: died,
          ...also
        } = await dieAtEveryPoint(kind === "growth" ? growing : world, operation, setting);
        for (const name of also.called) called.add(name);
        assert.ok(points > 0, operation.what);
        counts.push(`${points} points, ${died} deaths with ${setting.survivors} survivors`);
        count += died;
      }
      console.log(`# ${operation.what}: ${counts.join("; ")}`);
    }
    cases(name, count);
  });
}

test("every_function_of_the_module_is_one_in_which_agents_die", () => {
  const functions = WebAssembly.Module.exports(shipped).filter(({ kind }) => kind === "function");
  const missing = functions.map(({ name }) => name).filter((name) => !called.has(name));
  assert.deepEqual(missing, [], "an operation for each");
  cases("every_function_of_the_module_is_one_in_which_agents_die", functions.length);
});
