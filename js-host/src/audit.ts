/** Asking the heap for its figures, and for the proof that it is consistent. */
import type { Agent } from "./agent.js";
import { CoheapError, isCoheapError } from "./errors.js";
import { MAXIMUM_SLOTS } from "./layout.js";

/** What a heap holds. Sizes in bytes. What `memoryBytes` has beyond live, free and reserved is not the heap's. */
export interface Stats {
  /** In live blocks, with what allocation adds to them. */
  readonly liveBytes: number;
  /** Blocks that are live: an object has none, one or many. */
  readonly liveBlocks: number;
  /** Usable without growing. */
  readonly freeBytes: number;
  /** The fragmentation: of `freeBytes`, those between live blocks, so that only blocks of the same size fit there. */
  readonly fragmentedBytes: number;
  /** The heap's own: its tables, the seats of agents, and the headers of blocks. */
  readonly reservedBytes: number;
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

/** What live blocks are for, in the order of their kinds. */
const KINDS = [
  "rust",
  "names",
  "bytes",
  "fields",
  "references",
  "values",
  "atoms",
  "structures",
  "released",
  "pipes",
] as const;

/**
 * What live blocks are for: regions of `bytes`, HTTP `fields`, `pipes`; `structures` are maps and lists, `values` the strings, big integers
 * and bytes in cells, maps and lists, `released` the references that are on their way out of those; `names` the directory of names, `atoms` the
 * table of atoms, `references` what an agent with very many objects notes of them; `rust` the boxes of Rust programs.
 */
export type BlockKind = (typeof KINDS)[number];

/** What an audit counts besides. */
export interface Audit extends Stats {
  /** The live blocks by what they are for, in bytes and in number. */
  readonly liveByKind: Readonly<Record<BlockKind, { readonly bytes: number; readonly blocks: number }>>;
  /** The live bytes by the number of the agent that made them, as errors name it. What an agent leaves behind counts for the next in its seat. */
  readonly liveBytesByAgent: ReadonlyMap<number, number>;
  /** Blocks of Rust programs whose maker has left or died, in number: they stay until their holder frees them. */
  readonly orphans: number;
}

/** The part of the figures that the agent itself counts. */
type Counts = "adopted" | "exited" | "finalized";
/** The figures that wasm knows. @internal */
export type Figures = Omit<Stats, Counts>;
/** What wasm knows after a walk. @internal */
export type Walked = Omit<Audit, Counts>;

/** Cheap: reads counters. Other agents may change them at the same time. @internal */
export function figures(agent: Agent): Figures {
  agent.calls.run(agent.calls.wasm.coheap_figures);
  return lastFigures(agent);
}

/**
 * Walks the whole heap behind a gate. Operations of other agents do not wait for it: one that comes in breaks the walk, which then
 * starts again, until `milliseconds` have passed. COHEAP_BUSY if an agent is in an operation or a turn all the time, also if it is dead and
 * nobody can prove that.
 * @internal
 */
export async function audit(agent: Agent, milliseconds: number): Promise<Walked> {
  const { calls } = agent;
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
        return { ...lastFigures(agent), ...tallies(agent), orphans: calls.detail(7) };
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

function lastFigures({ calls, views }: Agent): Figures {
  const detail = (index: number) => calls.detail(index);
  return {
    liveBytes: detail(0),
    liveBlocks: detail(4),
    freeBytes: detail(1),
    fragmentedBytes: detail(6),
    reservedBytes: detail(5),
    memoryBytes: views.size(),
    agents: detail(2),
    quarantined: detail(3),
  };
}

/** Of how many bytes a tally counts one: no block is smaller. */
const UNIT = 16;

/** What the last walk has left in the transfer buffer: a word for each agent, then a pair for each kind, whose numbers begin at 1. */
function tallies({ transfer }: Agent): Pick<Walked, "liveByKind" | "liveBytesByAgent"> {
  const words = new Uint32Array(transfer.buffer, transfer.byteOffset, MAXIMUM_SLOTS + 2 + 2 * KINDS.length);
  const liveBytesByAgent = new Map<number, number>();
  for (const [agent, units] of words.subarray(0, MAXIMUM_SLOTS).entries()) {
    if (units > 0) liveBytesByAgent.set(agent, units * UNIT);
  }
  const ofKind = (kind: number) => {
    const [units, blocks] = words.subarray(MAXIMUM_SLOTS + 2 * kind) as unknown as [number, number];
    return { bytes: units * UNIT, blocks };
  };
  const liveByKind = Object.fromEntries(KINDS.map((name, index) => [name, ofKind(index + 1)]));
  return { liveByKind: liveByKind as Walked["liveByKind"], liveBytesByAgent };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
