// A host beside an agent that stands still for ever, at every point of every operation: it does what it has to do, all the same, and each
// of its calls takes a bounded number of steps.
//
// The agent stands still where the shipped code is about to change shared memory (tools/src/crash_points.rs). The host attaches there, works,
// and leaves; then the heap is put back to what it was, and the agent goes on to its next point. What the host's calls take is counted by
// its instance (tools/src/fuel.rs): rounds of loops, with a trap after ten million in one call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError } from "../../js-host/dist/index.js";
import { prepare } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { enter, operate, SETTINGS } from "../crash-points/trial.mjs";
import { World } from "../crash-points/world.mjs";
import { cases, times, watchdog } from "../js/support.mjs";
import { Meter } from "./fuel.mjs";
import { hostOperations, inTurn } from "./host-operations.mjs";

watchdog(600);

/** Of a host, beside each point. */
const OPERATIONS = times("COHEAP_HOST_OPERATIONS", 1_000);
/** Rounds of loops in one call of the host's: of one that waits for a transaction which stands still until it aborts it, some 20,000. */
const MOST_ROUNDS = 65_536;

const world = await World.make(prepare, { maximum: "3MiB", fixed: true });
const meter = new Meter();
/** How many kinds of operations a host has. */
let kinds = 0;
/** What the heap was when a host came. */
const before = new Uint8Array(world.memory.buffer.byteLength);

/** Heaps in which a host has worked, as another agent sees them. */
const met = new Set();

/** Does `act` at each point at which the heap is another one than all before. */
function standing(mortal, act) {
  const [limit, top] = mortal.stack;
  const transfer = mortal.exports.coheap_transfer() >>> 0;
  const scratch = [transfer, transfer + mortal.exports.coheap_transfer_length()];
  let isSame = false;
  return (half, address) => {
    const wasSame = isSame;
    // What comes next is a store into the agent's own stack.
    isSame = address >= limit && address < top;
    if (wasSame && !half) return;
    const state = world.difference(world.base, [limit, top], scratch);
    if (met.has(state)) return;
    met.add(state);
    act();
  };
}

/** The host comes, does its operations in turn, and leaves; answers how many. */
function workBeside(mortal, seen) {
  const now = new Uint8Array(world.memory.buffer);
  before.set(now);
  const agents = world.agents;
  const { heap } = world.attach(meter.options);
  const operations = hostOperations(heap);
  kinds = Object.keys(operations).length;
  for (const [name, operation] of inTurn(operations, OPERATIONS)) {
    const [act, ...refusals] = [operation].flat();
    try {
      act();
    } catch (error) {
      if (!refusals.some((code) => isCoheapError(error, code))) throw new Error(`${name}: ${error}`, { cause: error });
    }
    seen.add(name);
  }
  heap.detach();
  now.set(before);
  world.agents = agents;
  world.pool.release(mortal.exports);
}

for (const [kind, operations] of Object.entries(all)) {
  const name = `host_beside_an_agent_that_stands_still_in_operations_on_${kind}`;
  test(name, async () => {
    let points = 0;
    const seen = new Set();
    for (const operation of operations) {
      await world.restoreAll();
      const entered = await enter(world, operation, SETTINGS[0]);
      let failure;
      const beside = () => {
        points++;
        try {
          workBeside(entered.mortal, seen);
        } catch (error) {
          failure ??= new Error(`${operation.what}, at point ${entered.mortal.points}: ${error.message}`, {
            cause: error,
          });
          throw failure;
        }
      };
      await operate(entered, operation.step, 0, standing(entered.mortal, beside)).catch((error) => {
        throw failure ?? error;
      });
      if (failure !== undefined) throw failure;
      entered.mortal.die();
    }
    console.log(`# ${kind}: ${points} points, ${meter.calls} calls, ${meter.rounds} rounds`);
    const longest = [...meter.most].slice(0, 12).map(([name, rounds]) => `${name} ${rounds}`);
    console.log(`# the longest: ${longest.join(", ")}`);
    assert.ok(points > 0 && seen.size === Math.min(OPERATIONS, kinds));
    const [most] = meter.most.values();
    assert.ok(most < MOST_ROUNDS, `${most} rounds in one call`);
    cases(name, points * OPERATIONS);
  });
}
