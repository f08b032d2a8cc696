// Another agent ends what the dead have left, in a memory of its own, and looks whether all is there and everything comes back.

import assert from "node:assert/strict";
import { contents, removeAll } from "./heap-under-test.mjs";
import { Cases, Reads } from "./reads.mjs";

/** Ends it in `world`, where `dead` have died, beside `others`, which do nothing any more and are reaped then; answers what is found. */
export async function end(world, dead, others) {
  const last = world.attach({ blocks: true });
  last.reap(...dead);
  const { agents, quarantined } = await last.heap.audit();
  assert.deepEqual({ agents, quarantined }, { agents: 1 + others.length, quarantined: 0 });
  last.reap(...others);
  return audited(world, last, 1);
}

/** The dead are reaped, by `last`: so many agents are there. `reads` notes what that depends on. */
async function audited(world, last, there, reads) {
  const { agents, quarantined } = await last.heap.audit();
  assert.deepEqual({ agents, quarantined }, { agents: there, quarantined: 0 });
  const found = contents(last.heap, (bytes) => reads?.view(bytes));
  removeAll(last.heap);
  last.heap.detach();
  const auditor = world.attach({ reads });
  reads?.view(auditor.transfer);
  // What has ended is taken apart.
  auditor.reap();
  const { liveBytes } = await auditor.heap.audit();
  auditor.heap.detach();
  assert.equal(liveBytes, 0, "bytes that stay behind");
  return found;
}

/** What an agent is, besides what is in the memory. */
export const whoIs = ({ agents }, dead) => JSON.stringify([agents, ...dead.map(({ life }) => life)]);

export class Judge {
  /** What the dead left, and what is left when they are reaped. */
  left = new Cases();
  reaped = new Cases();
  #world;

  /** `world`: one of its own, the same as that of the dead. */
  constructor(world) {
    this.#world = world;
  }

  /** The case of these deaths, which left `image`; its result is what is found in the end. */
  async find(image, dead) {
    const who = whoIs(image, dead);
    return this.left.find(who, image.bytes) ?? this.left.add(await this.#tried(who, image, dead));
  }

  async #tried(who, image, dead) {
    const world = this.#world;
    world.restore(image);
    const reads = new Reads(world.memory);
    const last = await reads.during(() => {
      const last = world.attach({ blocks: true, reads });
      last.reap(...dead);
      return last;
    });
    const rest = await this.#reaped(last);
    return reads.case(who, image.bytes, rest.result, rest);
  }

  async #reaped(last) {
    const world = this.#world;
    const { agent, incarnation } = last.exports;
    const who = JSON.stringify([world.agents, agent.value, incarnation.value]);
    const known = this.reaped.find(who, Buffer.from(world.memory.buffer));
    if (known !== undefined) return known;
    const { bytes } = world.image();
    const reads = new Reads(world.memory);
    last.tell(reads);
    // JavaScript may read anything that stands there.
    reads.view(last.transfer);
    // The survivor of the first death, which does nothing, and this one.
    const found = await reads.during(() => audited(world, last, 2, reads));
    return this.reaped.add(reads.case(who, bytes, found));
  }
}
