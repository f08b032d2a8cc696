/** Asking the heap for its figures, and for the proof that it is consistent. */
import type { Agent } from "./agent.js";
import { CoheapError, isCoheapError } from "./errors.js";

/** What a heap holds. Sizes in bytes. */
export interface Stats {
  /** In live objects, with what allocation adds to them. */
  readonly liveBytes: number;
  /** Usable without growing. */
  readonly freeBytes: number;
  /** Size of the whole memory. It never shrinks. */
  readonly memoryBytes: number;
  /** Agents attached. */
  readonly agents: number;
  /** Slots of agents whose death nobody could prove so far: not used again until then. */
  readonly quarantined: number;
  /** Workers adopted by this agent. */
  readonly adopted: number;
  /** Adopted workers that have ended. */
  readonly exited: number;
  /** Wrappers of this agent that the garbage collector found, and not a `dispose`. */
  readonly finalized: number;
}

/** The figures that wasm knows. @internal */
export type Figures = Omit<Stats, "adopted" | "exited" | "finalized">;

/** Cheap: reads counters. Other agents may change them at the same time. @internal */
export function figures({ calls }: Agent): Figures {
  calls.run(calls.wasm.coheap_figures);
  return lastFigures(calls);
}

/**
 * Walks the whole heap behind a gate. Operations of other agents do not wait for it: one that comes in breaks the walk, which then
 * starts again, until `milliseconds` have passed. COHEAP_BUSY if an agent is in an operation or a turn all the time, also if it is dead and
 * nobody can prove that.
 * @internal
 */
export async function audit({ calls }: Agent, milliseconds: number): Promise<Figures> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    try {
      try {
        calls.auditing = true;
        calls.run(calls.wasm.coheap_audit_begin);
        while (calls.detail(0) > 0) {
          if (performance.now() >= deadline) throw new CoheapError("COHEAP_BUSY", { agent: calls.detail(1) });
          await pause();
          calls.run(calls.wasm.coheap_audit_poll);
        }
        calls.run(calls.wasm.coheap_audit_walk);
        return lastFigures(calls);
      } finally {
        if (!calls.detached) calls.status(calls.wasm.coheap_audit_end); // detach() has done it otherwise
        calls.auditing = false;
      }
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_BUSY") || performance.now() >= deadline) throw error;
      await pause();
    }
  }
}

function lastFigures(calls: Agent["calls"]): Figures {
  const [liveBytes, freeBytes, memoryBytes, agents, quarantined] = [0, 1, 2, 3, 4].map((index) =>
    calls.detail(index),
  ) as [number, number, number, number, number];
  return { liveBytes, freeBytes, memoryBytes, agents, quarantined };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
