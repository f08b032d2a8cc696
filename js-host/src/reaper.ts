/** Ends what the dead left, in slices of about a millisecond, between which the event loop turns. */
import type { Agent } from "./agent.js";
import type { Proof } from "./death.js";
import { isCoheapError } from "./errors.js";
import { isSameLife, type Life } from "./life.js";

/** What came of it. */
export interface Reaped {
  /** By their indices. */
  readonly agents: readonly number[];
  /** One of them, or one that had been reaped by the fence before. */
  readonly first: number | undefined;
  readonly repaired: number;
  readonly reclaimedBytes: number;
}

/** A seat that an agent has. */
export interface Seat {
  readonly index: number;
  readonly life: Life;
  /** Whether its thread was seen to hold the lock of its life. */
  readonly locked: boolean;
  /** Whether it is kept for its thread: all else is given back. */
  readonly kept: boolean;
}

/** Milliseconds. Wasm itself looks at the clock every half. */
const SLICE = 0.5;
/** The slices of a reaper that are over. */
const NOTHING = 0;
const DONE = 1;

/** No life: whatever agent is condemned and offline, and what reapers have left that are gone themselves. */
export const ANYBODY: Life = { high: 0, low: 0 };

/** Who is to hear that there is somebody to reap, by agent. */
const listeners = new WeakMap<Agent, () => void>();

/** From here on `due` is called when {@link lookForLeft} has found somebody. */
export function onLeft(agent: Agent, due: () => void): void {
  listeners.set(agent, due);
}

/** By an agent that looks at something anyway: whether anybody is left whom anybody may reap, who lives on without hearing of it. */
export function lookForLeft(agent: Agent): void {
  if (!agent.calls.detached && hasSeats(agent, ANYBODY)) listeners.get(agent)?.();
}

/** Reaps whom anybody may reap, and whom this agent has begun with, without letting the event loop turn: for an agent that blocks. */
export function reapLeft({ calls }: Agent): void {
  for (let left = -1; left !== NOTHING; ) {
    try {
      left = calls.count(calls.status(calls.wasm.coheap_reap, ANYBODY.low, ANYBODY.high, 0));
    } catch (error) {
      // Its seat is nobody's now: the next call is about another.
      if (!isCoheapError(error, "COHEAP_CORRUPT")) throw error;
    }
  }
}

/** All seats that are taken. */
export function* seats({ calls }: Agent): Generator<Seat> {
  for (let from = 0; ; ) {
    from = calls.status(calls.wasm.coheap_occupied, from);
    if (from === 0) return;
    yield {
      index: from - 1,
      life: { low: calls.detail(0), high: calls.detail(1) },
      locked: calls.detail(2) === 1,
      kept: calls.detail(3) === 1,
    };
  }
}

/** The lives that cannot outlast this one, as far as their agents have noted them: the last first, then it itself. */
export function* withDescendants(agent: Agent, life: Life, above: readonly Life[] = []): Generator<Life> {
  const { calls } = agent;
  // Only bytes that make no sense say so.
  if (above.some((one) => isSameLife(one, life))) return;
  for (let from = 0; ; ) {
    from = calls.status(calls.wasm.coheap_adopted, life.low, life.high, from);
    if (from === 0) break;
    yield* withDescendants(agent, { low: calls.detail(0), high: calls.detail(1) }, [...above, life]);
  }
  yield life;
}

/** Reaps every seat of these lives, of ANYBODY those that anybody may reap. COHEAP_CORRUPT, which says which seat's state makes no sense, once the others are reaped. */
export async function reap(agent: Agent, meant: readonly Life[], proof: Proof): Promise<Reaped> {
  const { calls } = agent;
  if (!meant.some((life) => hasSeats(agent, life)))
    return { agents: [], first: undefined, repaired: 0, reclaimedBytes: 0 };
  const agents: number[] = [];
  let first: number | undefined;
  let repaired = 0;
  /** Seats of which nothing else was left: their agents were lost before. */
  const kept = new Set<number>();
  const errors: unknown[] = [];
  const turn = turns();
  const before = await liveBytes(agent, turn);
  for (const { low, high } of meant) {
    for (let left = -1; left !== NOTHING && !calls.detached; await turn()) {
      try {
        left = calls.count(calls.status(calls.wasm.coheap_reap, low, high, proof === "fence" ? 0 : 1));
      } catch (error) {
        if (!isCoheapError(error, "COHEAP_CORRUPT")) throw error;
        // Its seat is nobody's now: the next call is about another.
        errors.push(error);
        continue;
      }
      if (left === NOTHING) break;
      repaired += calls.detail(0);
      const seat = calls.detail(2);
      // Only the first slice knows.
      if (calls.detail(1) === 1) kept.add(seat);
      if (left !== DONE) continue;
      first ??= seat;
      if (!kept.has(seat)) agents.push(seat);
    }
  }
  if (!calls.detached && (agents.length > 0 || repaired > 0)) await finish(agent, turn);
  if (errors.length > 0) throw errors[0];
  const after = await liveBytes(agent, turn);
  return { agents, first, repaired, reclaimedBytes: Math.max(0, (before ?? 0) - (after ?? Infinity)) };
}

/** In parts: others may change them meanwhile. Undefined if this agent leaves. */
async function liveBytes({ calls }: Agent, turn: () => Promise<void> | undefined): Promise<number | undefined> {
  let bytes = 0;
  for (let from = 0; !calls.detached; await turn()) {
    from = calls.status(calls.wasm.coheap_live, from);
    bytes += calls.detail(0);
    if (from === 0) return bytes;
  }
  return undefined;
}

/** Whether there is a seat of this life's, of ANYBODY one that anybody may reap. */
function hasSeats(agent: Agent, life: Life): boolean {
  const { calls } = agent;
  if (life === ANYBODY) return calls.status(calls.wasm.coheap_left) === 1;
  for (const seat of seats(agent)) if (isSameLife(life, seat.life)) return true;
  return false;
}

/** Rounds over all objects, until one finds nothing that it could finish. */
async function finish({ calls }: Agent, turn: () => Promise<void> | undefined): Promise<void> {
  for (let worked = true; worked; ) {
    worked = false;
    for (let from = 0; !calls.detached; await turn()) {
      calls.run(calls.wasm.coheap_finish, from);
      if (calls.detail(1) === 1) worked = true;
      from = calls.detail(0);
      if (from === 0) break;
    }
  }
}

/** Node's timers wait for a millisecond at least. */
const soon: (then: () => void) => unknown =
  (globalThis as { setImmediate?: (then: () => void) => unknown }).setImmediate ?? setTimeout;

/** A function that lets the event loop turn when the slice is over. */
function turns(): () => Promise<void> | undefined {
  let end = performance.now() + SLICE;
  return () => {
    if (performance.now() < end) return;
    return new Promise((resolve) => {
      soon(() => {
        end = performance.now() + SLICE;
        resolve();
      });
    });
  };
}
