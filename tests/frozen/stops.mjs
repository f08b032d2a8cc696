// An agent that is stopped at points of the shipped module, while others work, and goes on.

import assert from "node:assert/strict";
import { removeAll } from "../crash-points/heap-under-test.mjs";

/**
 * `act` has an agent do something, armed with what it is given, and answers the agents that are there: the first is stopped at the points
 * that are keys of `works`, others do what stands there, and it goes on. Nothing is left then.
 */
export async function stopAndGoOn(world, act, works, settle = () => {}) {
  await world.restoreAll();
  const left = new Map(works);
  let failure;
  const others = (_half, _address, { points }) => {
    const work = left.get(points);
    left.delete(points);
    try {
      work?.();
    } catch (error) {
      failure = error;
    }
  };
  const there = await act(others);
  if (failure !== undefined) throw failure;
  assert.equal(left.size, 0, "it came to the points");
  const [stopped] = there;
  assert.ok(!stopped.dead, `${stopped.cause?.stack}`);
  const goesOn = world.attach({ blocks: true });
  settle(goesOn.heap);
  for (const { heap } of there) heap.detach();
  removeAll(goesOn.heap);
  goesOn.heap.remove("of others");
  goesOn.heap.detach();
  const last = world.attach();
  // What has ended is taken apart as objects are made.
  for (let i = 0; i < 3_000 && last.heap.stats().liveBytes > 0; i++) last.heap.cell().dispose();
  const { liveBytes } = await last.heap.audit();
  last.heap.detach();
  assert.equal(liveBytes, 0, "bytes that stay behind");
}

/** How many points an agent goes through while it does that alone. */
export async function pointsAlone(world, act) {
  await world.restoreAll();
  const [agent] = await act();
  return agent.points;
}
