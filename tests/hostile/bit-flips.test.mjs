// Whatever bits of the heap are others than they were: each call of an agent answers, or is refused with a typed error (COHEAP_CORRUPT where
// the heap itself is found to be broken, COHEAP_AGENT_LOST after a trap), and ends. Nothing outside the memory is written, and what comes out is
// a value of JavaScript that shares no byte with the heap. Within the memory all is the heap's: who puts one into a memory of his own trusts
// it with that. How often a page was written that is not one of the heap's is counted here.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError } from "../../js-host/dist/index.js";
import { prepare } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { World } from "../crash-points/world.mjs";
import { Meter } from "../frozen/fuel.mjs";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";

const PAGE = 65_536;
/** Bits that are flipped, one to three in each heap. */
const FLIPS = times("COHEAP_FLIPS", 20_000);

watchdog(600 + FLIPS / 20);
/** Operations of each of the two agents of such a heap. */
const OPERATIONS = 8;

/** Those are left that begin with what another may have taken, or wait for it. */
const isFit = ({ what }) => !/^move$|heap.open of|lease.(commit|dispose)|(with|settles) a lease/.test(what);
/** What every agent has, and what only those have that may block. */
const everybody = Object.values(all)
  .flat()
  .filter((each) => isFit(each) && !/Sync|lease/.test(each.what));
const blocking = Object.values(all).flat().filter(isFit);
let foreign;

/** Pages of somebody else lie between those of the heap. */
function prepareAround(heap) {
  const { memory } = heap.token();
  heap.cell("first");
  foreign = memory.grow(2) * PAGE;
  new Uint8Array(memory.buffer, foreign, 2 * PAGE).fill(0xa5);
  const held = [];
  // Until the heap has pages behind them.
  while (memory.buffer.byteLength === foreign + 2 * PAGE) held.push(heap.bytes(undefined, 60_000));
  prepare(heap);
  for (const bytes of held) bytes.dispose();
}

const world = await World.make(prepareAround, { maximum: "4MiB" });
const { control } = world.token;
const meter = new Meter();
const { bytes: base } = world.base;

/** Words of the heap that are not 0: of what stands in them most bits say something. */
const words = [];
for (let at = control; at < base.length; at += 8) {
  const isForeign = at >= foreign && at < foreign + 2 * PAGE;
  if (!isForeign && base.readBigUInt64LE(at) !== 0n) words.push(at);
}

const outside = [
  [0, control],
  [foreign, foreign + 2 * PAGE],
];

/** Flips a bit of a word that is not 0, mostly, or of any byte. */
function flip(random) {
  const now = Buffer.from(world.memory.buffer);
  let at = words[random(words.length)] + random(8);
  if (random(8) === 0) at = control + random(base.length - control);
  if (at >= foreign && at < foreign + 2 * PAGE) return flip(random);
  const bit = 1 << random(8);
  now[at] ^= bit;
  return `${at}:${bit}`;
}

/** Whether an exception is one that users may meet. */
const isTyped = (error) => isCoheapError(error);

/** One agent's calls; answers what they came to. */
async function act({ heap }, operations, random, came) {
  for (let i = 0; i < OPERATIONS; i++) {
    const { what, open, step } = operations[random(operations.length)];
    came.last = what;
    try {
      checkValue(await step(open(heap), heap));
      came.ok++;
    } catch (error) {
      if (!isTyped(error)) throw error;
      came.refused.set(error.code, (came.refused.get(error.code) ?? 0) + 1);
    }
  }
  came.last = "heap.audit";
  if (random(4) === 0) {
    await heap.audit({ timeout: 0 }).catch((error) => {
      if (!isTyped(error)) throw error;
    });
  }
  came.last = "heap.detach";
  try {
    heap.detach();
  } catch (error) {
    if (!isTyped(error)) throw error;
  }
}

/** What JavaScript gets is one of its values or an object of coheap's, and bytes are nobody else's. */
function checkValue(value) {
  const type = typeof value;
  assert.ok(type !== "function" && type !== "symbol", `a ${type}`);
  if (ArrayBuffer.isView(value)) assert.ok(value.buffer instanceof ArrayBuffer, "bytes that others share");
  if (type === "string") assert.ok(value.length <= base.length, "a string longer than the heap");
  if (Array.isArray(value)) for (const item of value) checkValue(item);
}

/** An agent, or undefined if it is refused. */
function attach(options) {
  try {
    return world.attach({ ...options, ...meter.options });
  } catch (error) {
    if (!isTyped(error)) throw error;
  }
}

test("bits_flipped_anywhere_in_the_heap_do_no_harm", async () => {
  const random = seededRandom();
  const came = { ok: 0, refused: new Map(), last: "" };
  let attached = 0;
  let [bits, strayed] = [0, 0];
  for (let number = 0; bits < FLIPS; number++) {
    await world.restoreAll();
    const before = attach({ blocks: true });
    const flipped = Array.from({ length: 1 + random(3) }, () => flip(random));
    bits += flipped.length;
    const where = () => `heap ${number}, bits ${flipped.join(" ")}, ${came.last}`;
    try {
      await act(before, blocking, random, came);
      came.last = "attach";
      const after = attach({ blocks: false });
      if (after !== undefined) await act(after, everybody, random, came);
      attached += after === undefined ? 1 : 2;
    } catch (error) {
      throw new Error(`${where()}: ${error.stack}`, { cause: error });
    }
    assert.equal(meter.endless, 0, `${where()}: a call without end`);
    const now = Buffer.from(world.memory.buffer);
    if (outside.some(([from, to]) => now.compare(base, from, to, from, to) !== 0)) strayed++;
  }
  const refused = [...came.refused].map(([code, count]) => `${code} ${count}`).join(", ");
  console.log(`# ${strayed} heaps in which another page of the memory was written`);
  console.log(`# ${attached} agents: ${came.ok} answers; ${refused}`);
  console.log(`# the longest: ${[...meter.most].slice(0, 6).map(([name, rounds]) => `${name} ${rounds}`)}`);
  assert.ok(bits < 10_000 || came.refused.has("COHEAP_CORRUPT"), "some are found");
  cases("bits_flipped_anywhere_in_the_heap_do_no_harm", bits);
});
