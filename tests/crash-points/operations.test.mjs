// A death at every point of every public operation, with one other agent and with three: reaped by another, the heap is whole, holds
// what it held before or after, goes on, and gives back every byte.
//
// A point is a place of the shipped code before a change of shared memory (tools/src/crash_points.rs). Two points between which the heap
// has not changed, but for the shadow stack of the one who dies, are one death.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, watchdog } from "../js/support.mjs";
import { prepare } from "./heap-under-test.mjs";
import { all } from "./operations/all.mjs";
import { deaths } from "./operations/deaths.mjs";
import { growth } from "./operations/objects.mjs";
import { dieAtEveryPoint, SETTINGS } from "./trial.mjs";
import { World } from "./world.mjs";

watchdog(1_200);

const world = await World.make(prepare, { maximum: "3MiB", fixed: true });
const growing = await World.make(prepare, { maximum: "8MiB" });

for (const [kind, operations] of Object.entries({ ...all, deaths, growth })) {
  const name = `death_at_every_point_of_operations_on_${kind}`;
  test(name, async () => {
    let count = 0;
    for (const operation of operations) {
      const counts = [];
      for (const setting of SETTINGS) {
        const { points, deaths: died } = await dieAtEveryPoint(kind === "growth" ? growing : world, operation, setting);
        assert.ok(points > 0, operation.what);
        counts.push(`${points} points, ${died} deaths with ${setting.survivors} survivors`);
        count += died;
      }
      console.log(`# ${operation.what}: ${counts.join("; ")}`);
    }
    cases(name, count);
  });
}
