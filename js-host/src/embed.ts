/**
 * A threaded program whose own memory has the heap: its module is what agents instantiate, in place of heap.wasm.
 *
 * An instance of it needs a stack and thread-locals of its own before any of its code may run, and only its code can allocate. So who makes
 * a token also makes a block for both. The block's first word says whose it is: a token's tag, then that somebody has moved in, at last
 * nobody's. It is changed from here, because whoever leaves a block stands on it until the last call has returned.
 */
import { PAGE } from "./check.js";
import { CoheapError } from "./errors.js";
import { limit } from "./layout.js";
import { createMemory, describeCause } from "./memory.js";
import { Views } from "./views.js";
import { type Blocking, type HeapExports, imports } from "./wasm.js";

/** What a program exports besides what heap.wasm does. */
interface ProgramExports extends HeapExports {
  readonly __tls_size: WebAssembly.Global<"i32">;
  readonly __tls_align: WebAssembly.Global<"i32">;
  __wasm_init_tls(address: number): void;
  coheap_control(maximumPages: number): number;
  coheap_sit(slot: number, incarnation: number): void;
  coheap_block(size: number, tag: number): number;
  coheap_leave(): void;
}

/** Where a heap is. */
interface Place {
  readonly memory: WebAssembly.Memory;
  readonly control: number;
}

/** Bytes of a block that are its own. */
const HEAD = 64;
const NOBODYS = 0;
const TAKEN = 2;
/** Bytes of an agent's stack: it calls no code but coheap's. */
export const AGENT_STACK = 65_536;
/** Pages that a program's memory begins with at least: tried, and then twice as many, because a module does not say. */
const FIRST_PAGES = 32;

const NEEDED = ["__stack_pointer", "__tls_size", "__tls_align", "__wasm_init_tls"];

/** The instance's exports as a program's. COHEAP_WASM_UNAVAILABLE says what the program lacks. */
export function asProgram(exports: WebAssembly.Exports): ProgramExports {
  if (typeof exports["coheap_control"] !== "function") throw unfit("it lacks coheap::export!()");
  const missing = NEEDED.filter((name) => exports[name] === undefined);
  if (missing.length > 0) throw unfit(`link it with ${missing.map((name) => `--export=${name}`).join(" ")}`);
  return exports as unknown as ProgramExports;
}

export function unfit(reason: string, cause?: unknown): CoheapError {
  return new CoheapError("COHEAP_WASM_UNAVAILABLE", { source: "the program of this heap", reason }, { cause });
}

/** An odd number, which says in a block whose token it was made for. */
export function tagOf(nonceLow: number): number {
  return (nonceLow | 1) >>> 0;
}

/** A new block for an instance of the program with so much stack, with this tag. `run` calls an export. COHEAP_OUT_OF_MEMORY. */
export function makeBlock(wasm: HeapExports, place: Place, stack: number, tag: number, run = invoke): number {
  const { __tls_size, __tls_align, coheap_block } = wasm as ProgramExports;
  const size = HEAD + (__tls_size.value >>> 0) + (__tls_align.value >>> 0) + stack;
  const block = run(coheap_block, size, tag | 0) >>> 0;
  if (block !== 0) return block;
  const maximum = limit(new Views(place.memory), place.control) * PAGE;
  throw new CoheapError("COHEAP_OUT_OF_MEMORY", { requested: size, live: place.memory.grow(0) * PAGE, maximum });
}

function invoke(call: (size: number, tag: number) => number, size: number, tag: number): number {
  return call(size, tag);
}

/** A block that an instance lives in. */
export class Home {
  /** Where the stack begins; it grows down. */
  readonly stackTop: number;
  readonly #wasm: ProgramExports;
  readonly #words: Int32Array;
  readonly #block: number;
  readonly #tag: number;

  private constructor(wasm: ProgramExports, words: Int32Array, block: number, tag: number) {
    this.#wasm = wasm;
    this.#words = words;
    this.#block = block;
    this.#tag = tag;
    this.stackTop = block + ((words[(block >>> 2) + 1]! >>> 0) & ~15);
  }

  /** Moves the instance into the block that has this tag; undefined if it is somebody's by now. */
  static moveIn(exports: HeapExports, views: Views, block: number, tag: number): Home | undefined {
    const wasm = exports as ProgramExports;
    const words = views.words(block + HEAD);
    if (Atomics.compareExchange(words, block >>> 2, tag | 0, TAKEN) !== (tag | 0)) return undefined;
    const home = new Home(wasm, words, block, tag);
    try {
      wasm.__stack_pointer.value = home.stackTop | 0;
      const align = Math.max(wasm.__tls_align.value >>> 0, 1);
      wasm.__wasm_init_tls(Math.ceil((block + HEAD) / align) * align);
    } catch (error) {
      home.giveBack();
      throw error;
    }
    return home;
  }

  sit(slot: number): void {
    this.#wasm.__stack_pointer.value = this.stackTop | 0;
    this.#wasm.coheap_sit(slot, 0);
  }

  know(slot: number): void {
    this.#wasm.coheap_sit(slot, this.#wasm.coheap_incarnation());
  }

  /** Gives back the seat that the instance allocates by. */
  leave(): void {
    this.#wasm.coheap_leave();
  }

  /** The next one may have the block: nothing of the instance runs any more. */
  moveOut(): void {
    Atomics.store(this.#words, this.#block >>> 2, NOBODYS);
  }

  /** The token can be used again: nothing has come of it. */
  giveBack(): void {
    Atomics.store(this.#words, this.#block >>> 2, this.#tag | 0);
  }
}

type Given = (module: string, name: string, kind: WebAssembly.ImportExportKind) => unknown;

/** What an instance of the program imports: the memory, coheap's own, and what is `given`. */
export function linked(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  views: Views,
  blocking: Blocking | undefined,
  given: Given,
): WebAssembly.Imports {
  const own = imports(memory, views, blocking)["env"] as Record<string, unknown>;
  const all: Record<string, Record<string, unknown>> = Object.create(null);
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    all[from] ??= Object.create(null) as Record<string, unknown>;
    all[from][name] = kind === "memory" ? memory : from === "coheap" ? own[name] : given(from, name, kind);
  }
  return all as WebAssembly.Imports;
}

/** For an instance that calls nothing but coheap: whatever else it imports is there, and never called. */
export function unused(module: string, name: string, kind: WebAssembly.ImportExportKind): unknown {
  if (kind !== "function") return undefined;
  return () => {
    throw new Error(
      `An agent of coheap has called ${module}.${name} of the program, which only the program's threads can.`,
    );
  };
}

/** What the user gives: an object of objects, of which only own properties count. */
export function fromUser(given: unknown): Given {
  return (module, name) => {
    const names: unknown =
      Object(given) === given && Object.hasOwn(given as object, module) ? (given as never)[module] : undefined;
    return Object(names) === names ? (names as never)[name] : undefined;
  };
}

/** A memory, and the program's first instance over it, which has the stack and the thread-locals that it was linked with. */
export function startProgram(module: WebAssembly.Module, given: unknown, maximum: number | undefined) {
  const found = WebAssembly.Module.imports(module).find(({ kind }) => kind === "memory");
  if (found === undefined) throw unfit("link it with --import-memory and --shared-memory");
  for (let initial = FIRST_PAGES; ; initial *= 2) {
    const { memory, maximumPages } = createMemory(maximum, false, initial);
    try {
      const links = linked(module, memory, new Views(memory), undefined, fromUser(given));
      const { exports } = new WebAssembly.Instance(module, links);
      return { memory, maximumPages, exports: asProgram(exports) };
    } catch (cause) {
      if (!(cause instanceof WebAssembly.LinkError)) throw cause;
      if (initial * 2 > maximumPages) throw unfit(describeCause(cause), cause);
    }
  }
}
