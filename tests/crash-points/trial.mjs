// One death and all that comes after: another agent reaps, the heap is whole, holds what it held before or after the operation,
// goes on, and gives everything back.

import assert from "node:assert/strict";
import { isCoheapError } from "../../js-host/dist/index.js";
import { contents, join, removeAll, walkOn } from "./heap-under-test.mjs";

/** How many others there are, and what they are like. */
export const SETTINGS = [
  // It only looks on; the one who dies enters and leaves by itself at each call.
  { survivors: 1, joined: false, precise: true },
  // All are at work in everything; the one who dies stays entered.
  { survivors: 3, joined: true, precise: false },
];

/** Turns end, and whatever agents begin with when they attach. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The agents of one trial: the survivors, and the one that may die, ready for its operation. */
export async function enter(world, operation, setting) {
  const mortal = world.attach({ mayDie: true, blocks: true });
  if (setting.joined) mortal.work = join(mortal.heap, "who dies");
  const survivors = [];
  for (let number = 0; number < setting.survivors; number++) {
    // The second is a host: what it meets must not make it wait.
    const agent = world.attach({ blocks: number !== 1 });
    if (setting.joined) agent.work = join(agent.heap, number);
    survivors.push(agent);
  }
  if (operation.hasVictim) mortal.victim = world.attach({ blocks: true });
  await turn();
  const subject = operation.open(mortal.heap, mortal);
  if (setting.precise) await turn();
  // The first calls of a turn are precise: the fifth is not.
  else for (let i = 0; i < 5; i++) mortal.heap.stats();
  return { survivors, mortal, subject };
}

/**
 * Does the operation, up to point `at` if that is not 0: then the agent is dead, unless there are not so many. Answers the code of the error
 * that it throws.
 */
export async function operate({ mortal, subject }, step, at, looks) {
  mortal.arm(at, looks);
  try {
    await step(subject, mortal.heap, mortal);
    return undefined;
  } catch (error) {
    if (!mortal.dead && !isCoheapError(error)) throw error;
    return error.code;
  }
}

/** What others find and do after a death: what is there, and bytes that stay behind. */
export async function aftermath(world, operation, survivors, reap) {
  const met = survivors.length > 1 ? contents(survivors[1].heap) : undefined;
  reap();
  const [first] = survivors;
  const { agents, quarantined } = await first.heap.audit();
  assert.deepEqual({ agents, quarantined }, { agents: survivors.length, quarantined: 0 });
  const found = contents(first.heap);
  for (const { work } of survivors) if (work !== undefined) walkOn(work);
  try {
    await operation.step(operation.open(first.heap, first), first.heap, first);
  } catch (error) {
    if (!isCoheapError(error)) throw error;
  }
  const another = world.attach({ blocks: true });
  const goesOn = contents(another.heap);
  operation.settle?.(another.heap);
  removeAll(another.heap);
  for (const { heap } of [...survivors, another]) heap.detach();
  const last = world.attach();
  // What has ended is taken apart as objects are made.
  for (let i = 0; i < 64; i++) last.heap.cell().dispose();
  const { liveBytes } = await last.heap.audit();
  last.heap.detach();
  return { met, found, goesOn, liveBytes };
}

/**
 * The states that an operation goes through: what is found after the whole of it, and what then comes of doing it again. It is refused, or
 * keeps what can be seen, if it says so (`refused`: the error's code, `keeps`), and not otherwise; and leaves nothing behind but atoms,
 * which stay for ever (`makesAtoms`).
 */
export async function statesOf(world, operation, setting) {
  const states = [];
  const nothing = () => {};
  for (const step of [nothing, ...(operation.between ?? []), operation.step]) {
    await world.restoreAll();
    const entered = await enter(world, operation, setting);
    const refused = await operate(entered, step, 0);
    assert.equal(refused, step === operation.step ? operation.refused : undefined, operation.what);
    entered.mortal.die();
    const { survivors, mortal } = entered;
    const state = await aftermath(world, operation, survivors, () => survivors.at(-1).reap(mortal));
    if (operation.makesAtoms !== true) assert.equal(state.liveBytes, 0, operation.what);
    states.push(state);
  }
  const isKept = states.at(-1).found === states[0].found;
  assert.equal(
    isKept,
    operation.refused !== undefined || operation.keeps === true,
    `${operation.what}: what it changes`,
  );
  return states;
}

/**
 * What is found, with the bytes of an operation that may have written some of them, and others not, as they are after all: each is as it
 * was before or after.
 */
export function withAllBytes({ mixes }, states, found, what = "found") {
  if (mixes === undefined || found === undefined || states.some((state) => state[what] === found)) return found;
  const [before, after] = [states[0], states.at(-1)].map((state) => JSON.parse(state[what])[mixes]);
  const seen = JSON.parse(found);
  for (const [at, byte] of [...seen[mixes]].entries())
    assert.ok(byte === before[at] || byte === after[at], `byte ${at}`);
  return JSON.stringify({ ...seen, [mixes]: after });
}

/** Whether that is one of the states, and no earlier one than was met on the way; an assertion error else. */
export function compare(operation, states, { goesOn, liveBytes, ...seen }) {
  const [met, found] = ["met", "found"].map((what) => withAllBytes(operation, states, seen[what], what));
  const at = states.findLastIndex((state) => state.found === found);
  if (at === -1) assert.deepEqual(JSON.parse(found), JSON.parse(states.at(-1).found), "neither before nor after");
  if (met !== undefined) {
    const was = states.findIndex((state) => state.met === met);
    if (was === -1) assert.deepEqual(JSON.parse(met), JSON.parse(states.at(-1).met), "met: neither before nor after");
    assert.ok(was <= at, "what was seen stays");
  }
  const possible = states.filter((state) => state.found === found).map((state) => state.goesOn);
  if (!possible.includes(goesOn))
    assert.deepEqual(JSON.parse(goesOn), JSON.parse(possible.at(-1)), "it does not go on");
  const mayStay = states.map((state) => state.liveBytes);
  assert.ok(mayStay.includes(liveBytes), `${liveBytes} bytes stay behind, not ${mayStay.join(" or ")}`);
}

/** Notes at which points the heap is another one than at the point before; the shadow stack of `agent` does not count. */
export function differences(world, agent) {
  const { stack } = agent;
  const [limit, top] = stack;
  const different = [];
  let before;
  let isSame = false;
  const looks = (half, address) => {
    const wasSame = isSame;
    // What comes next, if anything, is a store into the shadow stack.
    isSame = address >= limit && address < top;
    if (wasSame && !half) return;
    const now = world.difference(world.base, stack);
    // Where half of something is done first, the heap will be another one.
    if (half || now !== before) different.push(agent.points);
    before = now;
  };
  return { looks, different };
}

/** How many points an operation goes through, those at which the heap is another one than at the point before, and what it calls. */
export async function pointsOf(world, operation, setting) {
  await world.restoreAll();
  const entered = await enter(world, operation, setting);
  const { survivors, mortal } = entered;
  const { looks, different } = differences(world, mortal);
  await operate(entered, operation.step, 0, looks);
  const { points, called } = mortal;
  mortal.die();
  for (const { heap } of survivors) heap.detach();
  return { points, different, called };
}

/** The survivors, and the one that has died at this point of an operation. */
export async function deadAt(world, operation, setting, at) {
  await world.restoreAll();
  const entered = await enter(world, operation, setting);
  await operate(entered, operation.step, at);
  assert.ok(entered.mortal.dead, `${operation.what} has a point ${at}`);
  entered.mortal.die();
  return entered;
}

/** Dies at every point of an operation, in one setting: how many points there are, how many deaths that were, and what it calls. */
export async function dieAtEveryPoint(world, operation, setting) {
  const states = await statesOf(world, operation, setting);
  const { points, different, called } = await pointsOf(world, operation, setting);
  for (const at of different) {
    const { survivors, mortal } = await deadAt(world, operation, setting, at);
    try {
      compare(operation, states, await aftermath(world, operation, survivors, () => survivors.at(-1).reap(mortal)));
    } catch (error) {
      const { what } = operation;
      const where = `${what}, ${setting.survivors} survivors, death at point ${at}`;
      throw new Error(`${where}: ${error.message}\n${mortal.cause.stack}`, { cause: error });
    }
  }
  return { points, deaths: different.length, called };
}
