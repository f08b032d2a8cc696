/**
 * coheap: one WebAssembly memory shared by every agent of a program, with objects in it. This entry point never blocks;
 * `coheap/worker` adds what may.
 */
import { type Agent, attach, firstToken, found } from "./agent.js";
import { SharedCell } from "./cell.js";
import { checkOptions, invalid, PAGE } from "./check.js";
import { startProgram } from "./embed.js";
import { checkEnvironment } from "./environment.js";
import { CoheapError } from "./errors.js";
import { Heap } from "./heap.js";
import { checkMaximum, createMemory, type Size } from "./memory.js";
import { SharedPipe } from "./pipe.js";
import type { Place } from "./resource.js";
import { loadModule, type WasmSource } from "./source.js";
import type { HeapToken } from "./token.js";

/** How to make a heap. */
export interface CreateOptions {
  /** Most memory that it may ever use: bytes, or text such as "64MiB", up to 4 GiB. 256 MiB when absent, or less where that is refused. */
  readonly maximum?: Size;
  /** Takes the whole maximum at once and never grows. */
  readonly fixed?: boolean;
  /** heap.wasm, where it cannot be found beside this file. */
  readonly wasm?: WasmSource;
}

/** How to start a program whose own memory has the heap. */
export interface EmbedOptions {
  /** Most memory that it may ever use: bytes, or text such as "64MiB", up to 4 GiB. 256 MiB when absent, or less where that is refused. */
  readonly maximum?: Size;
  /** What the program imports besides its memory and what coheap gives it. */
  readonly imports?: WebAssembly.Imports;
}

/** A program that was started, and the heap in its memory. */
export interface Embedded {
  readonly heap: SharedHeap;
  /** The exports of the program's first instance, for this thread alone. */
  readonly exports: WebAssembly.Exports;
}

/** COHEAP_NOT_ISOLATED, which says what is missing. */
function checkPlatform(): void {
  const { missing } = checkEnvironment();
  if (missing.length > 0) throw new CoheapError("COHEAP_NOT_ISOLATED", { missing: missing.map(({ id }) => id) });
}

/** A heap, as an agent sees it that never blocks. */
export class SharedHeap extends Heap {
  /**
   * Makes a heap and attaches. COHEAP_NOT_ISOLATED says what the platform lacks, COHEAP_MAXIMUM_REFUSED that it refuses so much memory,
   * COHEAP_WASM_UNAVAILABLE that heap.wasm could not be loaded. The heap is freed when its last agent has let go of it.
   */
  static async create(options?: CreateOptions): Promise<SharedHeap> {
    const { maximum, fixed, wasm } = checkOptions(options, ["maximum", "fixed", "wasm"]);
    const bytes = maximum === undefined ? undefined : checkMaximum(maximum);
    if (fixed !== undefined && typeof fixed !== "boolean") throw invalid("fixed", "a boolean", fixed);
    checkPlatform();
    const module = await loadModule(wasm);
    return new SharedHeap(found(module, createMemory(bytes, fixed ?? false), fixed ?? false));
  }

  /**
   * Starts a threaded program whose own memory has the heap, as Rust programs do by coheap's feature `embedded`, and attaches to it. The
   * program's first instance is this thread's: its exports are called here. Other threads begin with `heap.thread()`.
   *
   * COHEAP_NOT_ISOLATED, COHEAP_MAXIMUM_REFUSED; COHEAP_WASM_UNAVAILABLE for what cannot be loaded, or says what the program was linked without
   * or imports that is not given; COHEAP_OUT_OF_MEMORY if the maximum leaves no room for a heap.
   */
  static async embed(program: WasmSource, options?: EmbedOptions): Promise<Embedded> {
    const { maximum, imports } = checkOptions(options, ["maximum", "imports"]);
    const bytes = maximum === undefined ? undefined : checkMaximum(maximum);
    if (program === undefined)
      throw invalid("program", "a WebAssembly.Module, its bytes, a URL or a Response", program);
    checkPlatform();
    const module = await loadModule(program);
    const { memory, maximumPages, exports } = startProgram(module, imports, bytes);
    const control = exports.coheap_control(maximumPages) >>> 0;
    if (control === 0)
      throw new CoheapError("COHEAP_OUT_OF_MEMORY", { requested: 0, live: 0, maximum: maximumPages * PAGE });
    const heap = new SharedHeap(attach(firstToken(module, memory, exports, control), false));
    return { heap, exports: exports as unknown as WebAssembly.Exports };
  }

  /**
   * Attaches this agent to the heap of a token; sync, in a millisecond or two. COHEAP_INVALID_TOKEN (also for one that another agent is attached
   * with), COHEAP_ABI_MISMATCH (two versions of coheap) and COHEAP_NO_SLOT leave every byte of the heap as it was.
   */
  static attach(token: HeapToken): SharedHeap {
    return new SharedHeap(attach(token, false));
  }

  private constructor(agent: Agent) {
    super(agent);
  }

  /** @internal */
  protected override makeCell(place: Place): SharedCell {
    return new SharedCell(place);
  }

  /** @internal */
  protected override makePipe(place: Place): SharedPipe {
    return new SharedPipe(place);
  }
}

export type { AdoptableWorker } from "./adopt.js";
export type { Audit, BlockKind, Stats } from "./audit.js";
export type { SharedBytes } from "./bytes.js";
export type { SharedCell, WaitOptions } from "./cell.js";
export type { AgentLost, Recovery } from "./death.js";
export type { Environment, Missing } from "./environment.js";
export { checkEnvironment } from "./environment.js";
export type { Code, Details } from "./errors.js";
export { CoheapError, isCoheapError } from "./errors.js";
export type { FieldsInit, FieldValue, SharedFields } from "./fields.js";
export type { Handle } from "./handle.js";
export type { AdoptOptions, AuditOptions, Heap, ThreadOptions } from "./heap.js";
export type { SharedLease } from "./lease.js";
export type { SharedList } from "./list.js";
export type { SharedMap } from "./map.js";
export type { Size } from "./memory.js";
export type { Bytes, Chunk, SharedPipe } from "./pipe.js";
export type { PipeOptions, ReadOptions, WriteOptions } from "./pipe-options.js";
export type { Shared } from "./plain.js";
export type { ProgramImports } from "./program.js";
export type { SharedResource } from "./resource.js";
export type { WasmSource } from "./source.js";
export type { HeapToken } from "./token.js";
export type { Key, Scalar, Value } from "./value.js";
export type { Outcome } from "./wait.js";
