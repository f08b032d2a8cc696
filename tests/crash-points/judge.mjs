// Another agent ends what the dead have left, in a memory of its own, and looks whether all is there and everything comes back. Each image
// of a heap once: what follows from equal bytes is equal.

import assert from "node:assert/strict";
import { contents, removeAll } from "./heap-under-test.mjs";
import { differing } from "./snapshots.mjs";

/** Ends it in `world`, where `dead` have died; answers what is found then. */
export async function end(world, dead, reaped) {
  const last = world.attach({ blocks: true });
  last.reap(...dead);
  return (await reaped?.(last)) ?? audited(world, last);
}

/** The dead are reaped, by `last`. */
async function audited(world, last) {
  const { agents, quarantined } = await last.heap.audit();
  // The survivor of the first death, which does nothing, and this one.
  assert.deepEqual({ agents, quarantined }, { agents: 2, quarantined: 0 });
  const found = contents(last.heap);
  removeAll(last.heap);
  last.heap.detach();
  const auditor = world.attach();
  // What has ended is taken apart.
  auditor.reap();
  const { liveBytes } = await auditor.heap.audit();
  auditor.heap.detach();
  assert.equal(liveBytes, 0, "bytes that stay behind");
  return found;
}

export class Judge {
  /** How many images it has ended, and how many of them it has looked into. */
  ended = 0;
  looked = 0;
  #world;
  /** What was found, by the image that was left, and by the one after it was reaped. */
  #found = new Map();

  /** `world`: one of its own, the same as that of the dead. */
  constructor(world) {
    this.#world = world;
  }

  /** What is found after these have died, who left `image`, of this digest. */
  async find(image, digest, dead) {
    const key = digest.key(image.agents, ...dead.map(({ life }) => life));
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    const world = this.#world;
    world.restore(image);
    this.ended++;
    let reapedKey;
    const found = await end(world, dead, (last) => {
      const now = Buffer.from(world.memory.buffer);
      const { agent, incarnation } = last.exports;
      const after = digest.with(now, [...differing(now, image.bytes)], [last.stack]);
      reapedKey = after.key(world.agents, agent.value, incarnation.value);
      return this.#found.get(reapedKey);
    });
    if (!this.#found.has(reapedKey)) this.looked++;
    this.#found.set(reapedKey, found).set(key, found);
    return found;
  }
}
