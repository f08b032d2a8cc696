/**
 * What a WebAssembly program with a memory of its own imports to work on the heap.
 *
 * The program is an agent of its own: it shares neither transfer buffer nor references with the JavaScript around it, so a wrapper that is
 * disposed of here takes nothing away from there. Bytes cross between the two memories through its transfer buffer, here, where both can
 * be seen. No call throws for what coheap refuses, because an exception would end the program's frames in the middle: it is a status.
 */
import { type Agent, attach, freshToken } from "./agent.js";
import type { Calls } from "./calls.js";
import { invalid } from "./check.js";
import { isCoheapError } from "./errors.js";
import { ABI_NUMBER, ERRORS } from "./generated.js";
import type { HeapExports } from "./wasm.js";

/** What `heap.imports` answers: the functions that the Rust feature `imported` of coheap imports from the module `coheap`. */
export type ProgramImports = Readonly<Record<string, (...values: number[]) => number>>;

type Name = keyof HeapExports & `coheap_${string}`;
type Export = (...values: number[]) => number;

/** Exports that answer a status. */
const STATUS: readonly Name[] = [
  "coheap_open",
  "coheap_remove",
  "coheap_acquire",
  "coheap_release",
  "coheap_cell_put",
  "coheap_cell_add",
  "coheap_cell_compare_and_put",
  "coheap_bytes_read",
  "coheap_bytes_write",
  "coheap_map_take",
  "coheap_map_snapshot",
  "coheap_map_set",
  "coheap_map_clear",
];

/** Exports that answer a number, and minus a status for what they refuse. */
const COUNT: readonly Name[] = [
  "coheap_cell_take",
  "coheap_cell_snapshot",
  "coheap_map_has",
  "coheap_map_size",
  "coheap_map_insert",
  "coheap_map_delete",
  "coheap_map_compare_and_set",
  "coheap_map_entries",
  "coheap_map_entry_to",
];

/** Exports that answer a number, and NaN when only another call can say what is wrong. */
const NUMBER: readonly Name[] = ["coheap_cell_get", "coheap_map_get", "coheap_map_add"];

const LOST = ERRORS.COHEAP_AGENT_LOST.number;
const OUT_OF_RANGE = ERRORS.COHEAP_OUT_OF_RANGE.number;

/**
 * The programs of one heap's agent.
 *
 * @internal
 */
export class Programs {
  readonly #agent: Agent;
  readonly #running = new Set<Calls>();
  /** What was imported is gone, and the program with it: nobody else has its seat. */
  readonly #registry = new FinalizationRegistry<Calls>((calls) => this.#end(calls));

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** Gives a program a seat, and answers its imports. `memory` is the program's, or what answers it. */
  add(memory: unknown): ProgramImports {
    if (typeof memory !== "function" && !isMemory(memory))
      throw invalid("memory", "a WebAssembly.Memory or a function that answers one", memory);
    const agent = attach(freshToken(this.#agent), false);
    const program = new Program(agent, memory as WebAssembly.Memory | (() => WebAssembly.Memory));
    this.#running.add(agent.calls);
    this.#registry.register(program, agent.calls);
    return program.imports(() => this.#end(agent.calls));
  }

  /** Takes the seats of all programs. */
  end(): void {
    for (const calls of this.#running) this.#end(calls);
  }

  #end(calls: Calls): void {
    calls.detach();
    this.#running.delete(calls);
  }
}

/** One program: two memories and a seat. Each function that it imports keeps it alive. */
class Program {
  readonly #agent: Agent;
  readonly #memory: WebAssembly.Memory | (() => WebAssembly.Memory);
  #bytes: Uint8Array = new Uint8Array();

  constructor(agent: Agent, memory: WebAssembly.Memory | (() => WebAssembly.Memory)) {
    this.#agent = agent;
    this.#memory = memory;
  }

  imports(leave: () => void): ProgramImports {
    const { calls } = this.#agent;
    const imported: Record<string, Export> = {
      coheap_abi: () => ABI_NUMBER,
      coheap_detail: (index = 0) => (calls.detached ? LOST : calls.detail(index)),
      coheap_atom_text: this.#guard("coheap_atom_text", () => 0),
      coheap_copy_in: (from = 0, length = 0, to = 0) => this.#copy(from >>> 0, length >>> 0, to >>> 0, true),
      coheap_copy_out: (to = 0, length = 0, from = 0) => this.#copy(to >>> 0, length >>> 0, from >>> 0, false),
      coheap_leave: () => {
        leave();
        return 0;
      },
    };
    for (const name of STATUS) imported[name] = this.#guard(name, (status) => status);
    for (const name of COUNT) imported[name] = this.#guard(name, (status) => -status);
    for (const name of NUMBER) imported[name] = this.#guard(name, () => NaN);
    return imported;
  }

  /** An export that can be called at any time and throws nothing of coheap's. Other exceptions (the end of the stack) go on, after recovery. */
  #guard(name: Name, refusal: (status: number) => number): Export {
    const { calls } = this.#agent;
    const call = calls.wasm[name] as Export;
    return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0) => {
      try {
        return calls.statusOf(call, a, b, c, d, e, f, g, h);
      } catch (error) {
        return refusal(this.#statusOf(error));
      }
    };
  }

  #statusOf(error: unknown): number {
    if (!isCoheapError(error)) throw error;
    return error.code === "COHEAP_DETACHED" ? LOST : ERRORS[error.code].number;
  }

  /** Copies between `at` in the program's memory and `place` in the transfer buffer. COHEAP_OUT_OF_RANGE leaves both as they were. */
  #copy(at: number, length: number, place: number, inwards: boolean): number {
    const { calls, transfer } = this.#agent;
    try {
      calls.beginTurn(); // the transfer buffer belongs to the operation
    } catch (error) {
      return this.#statusOf(error);
    }
    if (place + length > transfer.length) return OUT_OF_RANGE;
    const own = this.#range(at, at + length);
    if (own === undefined) return OUT_OF_RANGE;
    const shared = transfer.subarray(place, place + length);
    if (inwards) shared.set(own);
    else own.set(shared);
    return 0;
  }

  /** The program's bytes of that range, or undefined beyond its end. A grown memory has a new buffer, and the old one no bytes. */
  #range(at: number, end: number): Uint8Array | undefined {
    if (end > this.#bytes.length) this.#bytes = bytesOf(this.#memory);
    return end <= this.#bytes.length ? this.#bytes.subarray(at, end) : undefined;
  }
}

function bytesOf(given: WebAssembly.Memory | (() => WebAssembly.Memory)): Uint8Array {
  const memory: unknown = typeof given === "function" ? given() : given;
  if (!isMemory(memory)) throw invalid("memory", "a function that answers a WebAssembly.Memory", memory);
  // Another thread of the program may have grown it, which engines show when asked. To ask an unshared one would empty the views of others.
  if (Object.prototype.toString.call(memory.buffer) === "[object SharedArrayBuffer]") memory.grow(0);
  return new Uint8Array(memory.buffer);
}

function isMemory(value: unknown): value is WebAssembly.Memory {
  return Object.prototype.toString.call(value) === "[object WebAssembly.Memory]";
}
