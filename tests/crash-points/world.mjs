// A heap that can be put back to what it was: its bytes, while nobody is in it or after a death.

import { createHash } from "node:crypto";
import { SharedHeap } from "../../js-host/dist/index.js";
import { Agent, Pool, shipped } from "./instance.mjs";

const BLOCK = 4096;
const PAGE = 65_536;

/** The heap's secrets, the same in each run: so points have the same numbers. */
async function withoutChance(body) {
  const { getRandomValues } = crypto;
  let state = 1;
  crypto.getRandomValues = (array) => array.map(() => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0));
  try {
    return await body();
  } finally {
    crypto.getRandomValues = getRandomValues;
  }
}

/** The bytes of a heap, and how many agents have been in it. */
class Image {
  constructor(world) {
    this.bytes = Buffer.from(new Uint8Array(world.memory.buffer));
    this.agents = world.agents;
  }
}

export class World {
  /** A heap in which `prepare` has left what it has; nobody is attached. */
  static async make(prepare, options) {
    const world = await World.#fresh(prepare, options);
    world.#again = () => World.#fresh(prepare, options);
    return world;
  }

  static async #fresh(prepare, options) {
    const heap = await withoutChance(() => SharedHeap.create({ wasm: shipped, ...options }));
    const world = new World(heap.token());
    await prepare(heap);
    heap.detach();
    world.base = world.image();
    return world;
  }

  agents = 0;
  #again;

  constructor(token) {
    this.token = token;
    this.memory = token.memory;
    this.pool = new Pool();
  }

  image() {
    return new Image(this);
  }

  /** Nobody who was in the heap uses it from here on. */
  restore(image = this.base) {
    new Uint8Array(this.memory.buffer).set(image.bytes);
    this.agents = image.agents;
    this.pool.release();
  }

  /** As `restore`. What has grown does not shrink: then this becomes another heap, which is the same. */
  async restoreAll(image = this.base) {
    const { length } = image.bytes;
    if (this.memory.buffer.byteLength > length) {
      const { token, memory, pool, base } = await this.#again();
      Object.assign(this, { token, memory, pool, base });
    }
    this.memory.grow((length - this.memory.buffer.byteLength) / PAGE);
    this.restore(image);
  }

  attach(options) {
    const nonceLow = ++this.agents;
    return new Agent(this.pool, { ...this.token, nonceHigh: 7, nonceLow, parent: 0 }, options);
  }

  /** What tells this image from others, seen from `image`; `masked`: ranges of bytes that do not count. */
  difference({ bytes }, ...masked) {
    const now = Buffer.from(this.memory.buffer);
    const kept = masked.map(([from, to]) => Buffer.from(now.subarray(from, to)));
    for (const [from, to] of masked) bytes.copy(now, from, from, to);
    const hash = createHash("sha1");
    for (let at = 0; at < now.length; at += BLOCK) {
      if (at < bytes.length && now.compare(bytes, at, at + BLOCK, at, at + BLOCK) === 0) continue;
      hash.update(`${at}`).update(now.subarray(at, at + BLOCK));
    }
    for (const [number, [from]] of masked.entries()) kept[number].copy(now, from);
    return hash.digest("latin1");
  }
}
