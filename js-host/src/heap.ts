/** The heap as one agent sees it: what both entry points share. */
import type { AdoptableWorker } from "./adopt.js";
import { type Agent, freshToken, isAgent, startThread } from "./agent.js";
import { type Audit, audit, type Figures, figures, type Stats } from "./audit.js";
import { SharedBytes } from "./bytes.js";
import type { SharedCell } from "./cell.js";
import { checkInteger, checkMilliseconds, checkOptions, invalid } from "./check.js";
import { type AgentLost, Deaths, type Recovery } from "./death.js";
import type { Home } from "./embed.js";
import { CoheapError } from "./errors.js";
import { createFields, type FieldsInit, SharedFields } from "./fields.js";
import { checkHandle, type Handle } from "./handle.js";
import { inspectAs, inspectCustom } from "./inspect.js";
import { SharedList } from "./list.js";
import { SharedMap } from "./map.js";
import { SharedPipe } from "./pipe.js";
import type { PipeOptions } from "./pipe-options.js";
import { Planned, plan, type Shared } from "./plain.js";
import { type ProgramImports, Programs } from "./program.js";
import type { Place, SharedResource } from "./resource.js";
import { type Shown, shown } from "./shown.js";
import { checkToken, type HeapToken, refused } from "./token.js";
import { BYTES, CELL, FIELDS, LIST, MAP, PIPE } from "./types.js";
import type { Key, Scalar, Value } from "./value.js";
import { valuesOf } from "./values.js";
import { endWaits } from "./wait.js";
import { Wrappers } from "./wrappers.js";

const LONGEST_NAME = 1024;
const LARGEST_BLOCK = 2 ** 32 - 1;
const AUDIT_MILLISECONDS = 1000;
/** What Rust's programs have in their first thread. */
const THREAD_STACK = 2 ** 20;
const LEAST_STACK = 2 ** 14;
const LARGEST_STACK = 2 ** 30;
const PIPE_CAPACITY = 65_536;

const encoder = new TextEncoder();

/** How a thread of a program is started. */
export interface ThreadOptions {
  /** What the program imports besides its memory and what coheap gives it. */
  readonly imports?: WebAssembly.Imports;
  /** Bytes of its stack, from 16 KiB to 1 GiB. */
  readonly stack?: number;
}

/** What depends on a worker. */
export interface AdoptOptions {
  /** Pipes that end with COHEAP_AGENT_LOST if the worker is lost. None when absent. */
  readonly pipes?: readonly SharedPipe[];
}

/** How long an audit may take. */
export interface AuditOptions {
  /** Milliseconds to keep trying while other agents are at work. 1,000 when absent. */
  readonly timeout?: number;
}

/**
 * One agent's view of a heap. No method blocks, except the `…Sync` ones of what `coheap/worker` hands out.
 * After `detach` every method but `detach` throws COHEAP_DETACHED.
 */
export abstract class Heap {
  readonly #agent: Agent;
  readonly #deaths: Deaths;
  readonly #wrappers: Wrappers;
  readonly #programs: Programs;
  /** Where the threads live that this agent has started. */
  readonly #threads: Home[] = [];
  #audits: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(agent: Agent) {
    if (!isAgent(agent))
      throw new TypeError("A heap comes from SharedHeap.create(), SharedHeap.attach(token) or attach(token).");
    this.#agent = agent;
    this.#deaths = new Deaths(agent);
    this.#wrappers = new Wrappers(agent, (place) => this.#wrapper(place));
    this.#programs = new Programs(agent);
  }

  /** A fresh token: lets one more agent attach. Send it with `postMessage` or as `workerData`. */
  token(): HeapToken {
    this.#checkAttached();
    return freshToken(this.#agent);
  }

  /**
   * Ties a worker to this heap. Give the token that the worker was started with, or none: then send it the fresh one that this answers.
   * Does not keep the worker or Node alive. COHEAP_ADOPTED if a worker was already adopted with this token.
   *
   * When a worker is lost, its pipes stay open: what it had on lease goes back, and another worker may take over. Those that cannot go on
   * without it are to be named as `pipes`: then whoever reads or writes there gets COHEAP_AGENT_LOST, also who waits already, unless it was closed.
   */
  adopt(worker: AdoptableWorker, token?: HeapToken, options?: AdoptOptions): HeapToken {
    this.#checkAttached();
    const chosen = token === undefined ? freshToken(this.#agent) : checkToken(token);
    if (chosen.heap !== this.#agent.token.heap) throw refused("it is a token of another heap");
    const { pipes = [] } = checkOptions(options, ["pipes"]);
    if (!Array.isArray(pipes)) throw invalid("pipes", "an array of pipes", pipes);
    for (const pipe of pipes) if (!(pipe instanceof SharedPipe)) throw invalid("pipes", "an array of pipes", pipe);
    this.#deaths.adopt(worker, chosen, [...pipes]);
    return token ?? chosen;
  }

  /**
   * Ends a worker that this agent has adopted, wherever it is, and resolves when what it left is ended and what it had is given back: an operation
   * that it was in is finished or taken back, its references and leases go back, its seats are free. Structures stay for whoever has them; a pipe
   * stays open, and bytes of which a write was cut short are in it as far as they were written.
   *
   * It does not wait for ever for a proof that the worker does nothing in the heap any more: 30 seconds for one that holds a browser's lock, 5 for one
   * that nothing but its own next call can tell of. Then `proof` is "none", and its seats stay taken until a proof comes after all: "agentlost"
   * tells of both. COHEAP_INVALID_ARGUMENT for a worker that was not adopted, COHEAP_CORRUPT.
   */
  terminate(worker: AdoptableWorker): Promise<Recovery> {
    this.#checkAttached();
    return this.#deaths.terminate(worker);
  }

  /**
   * Calls `listener` when a worker has ended with agents of this heap in it, adopted or not, however it ended: by `terminate`, `process.exit`, an uncaught
   * exception, a limit (in Deno by `heap.terminate` alone: nobody is told of others); then they are reaped already. If another agent came first, who has adopted the worker hears of it all the same, with 0
   * `reclaimedBytes`, which that one has counted. An agent that detached before is not lost. Until what this answers is disposed of.
   */
  on(event: "agentlost", listener: (lost: AgentLost) => void): Disposable {
    if (event !== "agentlost") throw invalid("event", '"agentlost"', event);
    if (typeof listener !== "function") throw invalid("listener", "a function", listener);
    return this.#deaths.listen(listener);
  }

  /**
   * The cell of that name, made if there is none; without a name, a new one that ends with its last wrapper. A new cell holds `initial`,
   * or 0. COHEAP_WRONG_TYPE if the name belongs to something else, COHEAP_OUT_OF_MEMORY if there is no room, COHEAP_UNSUPPORTED_VALUE for
   * an initial object.
   */
  cell<V extends Scalar = number>(name?: string, initial?: NoInfer<V>): SharedCell<V> {
    const cell = initial === undefined ? this.#make(CELL, name, 0) : this.#makeHolding(name, initial);
    return cell as unknown as SharedCell<V>;
  }

  /**
   * The block of bytes of that name and length, made if there is none; without a name (undefined), a new one that ends with its
   * last wrapper. COHEAP_OUT_OF_RANGE if the name belongs to a block of another length, COHEAP_WRONG_TYPE if to something else.
   */
  bytes(name: string | undefined, length: number): SharedBytes {
    const size = checkInteger("length", length, 0, LARGEST_BLOCK);
    return this.#make(BYTES, name, size, (resource) => {
      const limit = (resource as SharedBytes).length;
      if (limit !== size) throw new CoheapError("COHEAP_OUT_OF_RANGE", { offset: 0, length: size, limit });
    }) as SharedBytes;
  }

  /**
   * The HTTP fields of that name, made if there are none. Without a name (or with lines to begin with), new ones that end with their
   * last wrapper: as lines, pairs or an object, as for `new Headers`. COHEAP_WRONG_TYPE if the name belongs to something else,
   * COHEAP_INVALID_FIELD for what cannot be a line, COHEAP_FIELDS_TOO_LARGE, COHEAP_OUT_OF_MEMORY.
   */
  fields(name?: string): SharedFields;
  fields(init: FieldsInit): SharedFields;
  fields(given?: string | FieldsInit): SharedFields {
    if (typeof given !== "string") return createFields(this.#agent, this.#wrappers, given);
    return this.#make(FIELDS, given, 0) as SharedFields;
  }

  /**
   * The map of that name, made if there is none; without a name, a new one that ends with its last wrapper. COHEAP_WRONG_TYPE if the name
   * belongs to something else, COHEAP_OUT_OF_MEMORY.
   */
  map<K extends Key = string, V extends Value = Value>(name?: string): SharedMap<K, V> {
    return this.#make(MAP, name, 0) as unknown as SharedMap<K, V>;
  }

  /**
   * The pipe of that name, made if there is none; without a name, a new one that ends with its last wrapper. COHEAP_WRONG_TYPE if the name
   * belongs to something else, COHEAP_OUT_OF_MEMORY.
   */
  pipe(name?: string, options?: PipeOptions): SharedPipe {
    const { capacity } = checkOptions(options, ["capacity"]);
    const bytes = capacity === undefined ? PIPE_CAPACITY : checkInteger("capacity", capacity, 4096, 2 ** 30);
    return this.#make(PIPE, name, bytes) as SharedPipe;
  }

  /**
   * The list of that name, made if there is none; without a name, a new one that ends with its last wrapper. COHEAP_WRONG_TYPE if the name
   * belongs to something else, COHEAP_OUT_OF_MEMORY.
   */
  list<V extends Value = Value>(name?: string): SharedList<V> {
    return this.#make(LIST, name, 0) as unknown as SharedList<V>;
  }

  /**
   * A new map without a name, of the properties of a plain object or the entries of a `Map`, or a new list of the items of an array; what stands
   * in them becomes maps and lists of its own, and an object that stands in two places is one. Getters run first. COHEAP_UNSUPPORTED_VALUE,
   * which says where, for what is no value of a map, and for an object that contains itself; RangeError for what is nested so deep that the
   * stack ends. COHEAP_OUT_OF_MEMORY. What throws has left nothing. O(properties).
   */
  from<Item>(data: readonly Item[]): SharedList<Shared<Item>>;
  from<K extends Key, Item>(data: ReadonlyMap<K, Item>): SharedMap<K, Shared<Item>>;
  from<T extends object>(data: T): SharedMap<string, Shared<T[keyof T]>>;
  from(data: unknown): SharedMap<Key> | SharedList {
    this.#checkAttached();
    const made: (SharedMap<Key> | SharedList)[] = [];
    try {
      for (const planned of plan(data)) {
        const structure = planned.isList ? this.list() : this.map<Key>();
        made.push(structure);
        const values = planned.values.map((value) => (value instanceof Planned ? value.made! : value));
        if (structure instanceof SharedList) structure.pushAll(values);
        else structure.setAll(values);
        planned.made = structure;
      }
      return made.pop()!;
    } finally {
      // Those inside have their references; if something was thrown, all of them go.
      for (const structure of made) structure.dispose();
    }
  }

  /**
   * The object that a handle names, of any type; a moved one is this agent's from here on. The same wrapper again, if this agent has one.
   * COHEAP_STALE_HANDLE if it was destroyed, or never was.
   */
  open<T extends SharedResource>(handle: Handle<T>): T {
    this.#checkAttached();
    const { index, generation } = checkHandle(handle, this.#agent.token.heap);
    return this.#wrappers.acquire(index, generation) as T;
  }

  /** Takes a name away; what it named is destroyed with its last wrapper, or now. Answers whether there was such a name. */
  remove(name: string): boolean {
    const length = this.#writeName(name);
    const { calls } = this.#agent;
    calls.run(calls.wasm.coheap_remove, length);
    return calls.detail(0) === 1;
  }

  /**
   * What a WebAssembly program with a memory of its own imports as its module `coheap`, to work on this heap: Rust programs by coheap's feature
   * `imported`. `memory` is the program's, or a function that answers it, for a program that exports it:
   *
   * ```js
   * const program = new WebAssembly.Instance(module, { coheap: heap.imports(() => program.exports.memory) });
   * ```
   *
   * The program is an agent of its own, and none of its calls blocks. Its seat is given back when it leaves, when its instance is collected, and
   * when this agent detaches. Inside the program nothing is thrown for what coheap refuses. COHEAP_INVALID_ARGUMENT, COHEAP_NO_SLOT,
   * COHEAP_OUT_OF_MEMORY.
   */
  imports(memory: WebAssembly.Memory | (() => WebAssembly.Memory)): ProgramImports {
    this.#checkAttached();
    return this.#programs.add(memory);
  }

  /**
   * An instance of the program in whose memory the heap is, as one more thread of it: with a stack of `stack` bytes (1 MiB when absent) and
   * thread-locals of its own, and the `imports` that the program needs besides coheap's. Its exports are for this thread alone. It may block
   * if this agent may. It ends with `detach`, after which nothing of it may run. COHEAP_INVALID_ARGUMENT; COHEAP_WASM_UNAVAILABLE for the heap of
   * no program, or imports that do not fit; COHEAP_OUT_OF_MEMORY.
   */
  thread(options?: ThreadOptions): WebAssembly.Exports {
    const { imports, stack } = checkOptions(options, ["imports", "stack"]);
    const bytes = stack === undefined ? THREAD_STACK : checkInteger("stack", stack, LEAST_STACK, LARGEST_STACK);
    this.#checkAttached();
    const { exports, home } = startThread(this.#agent, imports, bytes);
    this.#threads.push(home);
    return exports;
  }

  /** What the heap holds, from counters that others may be changing. */
  stats(): Stats {
    return this.#withCounts(figures(this.#agent));
  }

  /**
   * Proves the heap consistent and answers its figures, by kind and by agent, too: every block is free, or in exactly one place. COHEAP_CORRUPT says which rule is
   * broken where; COHEAP_BUSY that other agents did not pause long enough. O(memory in use).
   */
  async audit(options?: AuditOptions): Promise<Audit> {
    const { timeout } = checkOptions(options, ["timeout"]);
    const milliseconds = timeout === undefined ? AUDIT_MILLISECONDS : checkMilliseconds("timeout", timeout);
    this.#checkAttached();
    // One at a time: they would only break each other's gate.
    const run = this.#audits.then(() => this.#deaths.look()).then(() => audit(this.#agent, milliseconds));
    this.#audits = run.catch(() => {});
    return this.#withCounts(await run);
  }

  /**
   * Leaves the heap: gives back what this agent has wrappers of; the slot can be taken by another agent, pending waits reject. What has a
   * name, or a wrapper elsewhere, stays. So do the programs that it made imports for. Again does nothing.
   */
  detach(): void {
    this.#programs.end();
    for (let home = this.#threads.pop(); home !== undefined; home = this.#threads.pop()) {
      home.leave();
      home.moveOut();
    }
    this.#deaths.stop();
    if (this.#agent.calls.detach()) endWaits(this.#agent);
  }

  [Symbol.dispose](): void {
    this.detach();
  }

  /** @internal */
  [inspectCustom](depth: unknown, options: unknown, inspect: unknown): string {
    const name = this.constructor.name;
    return inspectAs(this, name, () => this[shown], depth, options, inspect);
  }

  /** @internal */
  get [shown](): Shown {
    this.#checkAttached();
    return { contents: () => ({ ...this.stats() }) };
  }

  /** @internal */
  protected abstract makeCell(place: Place): SharedCell;

  /** @internal */
  protected abstract makePipe(place: Place): SharedPipe;

  /** The object of a name or a new one, and its wrapper, which must pass `check`. */
  #make(type: number, name: string | undefined, argument: number, check?: (resource: SharedResource) => void) {
    const length = name === undefined ? 0 : this.#writeName(name);
    const { calls } = this.#agent;
    calls.make(calls.wasm.coheap_open, type, length, argument);
    return this.#wrappers.wrap(type, calls.detail(0), calls.detail(1), check);
  }

  #wrapper(place: Place): SharedResource {
    switch (place.type) {
      case CELL:
        return this.makeCell(place);
      case BYTES:
        return new SharedBytes(place);
      case FIELDS:
        return new SharedFields(place);
      case PIPE:
        return this.makePipe(place);
      case LIST:
        return new SharedList(place);
      default:
        return new SharedMap(place);
    }
  }

  #makeHolding(name: string | undefined, initial: unknown): SharedResource {
    const { calls } = this.#agent;
    const values = valuesOf(this.#agent);
    const staged = values.stage(initial, calls);
    try {
      const length = name === undefined ? 0 : this.#writeName(name);
      values.encode(initial, Math.ceil(length / 8) * 8, staged, calls);
      calls.make(calls.wasm.coheap_cell_open, length, values.kind, values.number);
      return this.#wrappers.wrap(CELL, calls.detail(0), calls.detail(1));
    } finally {
      if (staged !== undefined) staged.loan.used = false;
      values.unstage(staged, calls);
    }
  }

  /** Puts a name into the transfer buffer and answers its length in UTF-8 bytes. */
  #writeName(name: unknown): number {
    if (typeof name !== "string" || !name.isWellFormed())
      throw invalid("name", "a string without lone surrogates", name);
    const { calls, transfer } = this.#agent;
    const bytes = name.length <= LONGEST_NAME ? encoder.encode(name) : undefined;
    if (bytes === undefined || bytes.length === 0 || bytes.length > LONGEST_NAME) {
      throw invalid("name", `a string of 1 to ${LONGEST_NAME} bytes`, name);
    }
    calls.beginTurn(); // the transfer buffer belongs to the operation
    transfer.set(bytes);
    return bytes.length;
  }

  #withCounts<F extends Figures>(found: F): F & Pick<Stats, "adopted" | "exited" | "finalized"> {
    return { ...found, ...this.#deaths.adoptions.counts, finalized: this.#wrappers.finalized };
  }

  #checkAttached(): void {
    this.#agent.calls.checkUsable();
  }
}
