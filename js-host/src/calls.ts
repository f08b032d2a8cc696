/**
 * Every call into wasm goes through here: what one agent is doing right now, and what happens when an exception leaves it.
 *
 * An exception can leave wasm at any point on an agent that lives on: a RangeError of deep user recursion, a vm timeout. That is an abort:
 * the shadow stack is reset and the agent's own record recovered, which leaves the turn too. If that fails, or the exception cannot be
 * caught, the state stays INSIDE and the next entry recovers.
 *
 * A trap is no abort: a rule that wasm relies on did not hold. Then the agent gives up its seat as it is, and others reap it.
 *
 * The fence tells others whether this agent may be writing. The first four operations of a turn enter and leave one by one;
 * from the fifth the agent stays entered until its event loop turns, which costs the operations nothing.
 */
import type { Home } from "./embed.js";
import { type Code, CoheapError } from "./errors.js";
import { ERRORS } from "./generated.js";
import { type Loan, Loans } from "./loans.js";
import { typeName, valueTypeName } from "./types.js";
import type { HeapExports } from "./wasm.js";

/** In a call, or left by an exception that nobody has cleaned up after. */
const INSIDE = 0;
/** Between two calls of a turn that stays entered. The one state that enters without any preparation. */
const ENTERED = 1;
/** Between two calls that each enter and leave by themselves. */
const OUTSIDE = 2;
const DETACHED = 3;
const DISPOSED = 4;
/** Between two calls: the last one gave this agent a reference, and nobody answers for it yet. */
const MADE = 5;
/** A trap ended it. */
const LOST = 6;

const OPERATIONS_BEFORE_A_TURN = 4;

const codeOf = new Map<number, Code>();
for (const code of Object.keys(ERRORS) as Code[]) codeOf.set(ERRORS[code].number, code);

type Export = (...values: number[]) => number;

export class Calls {
  /** What a disposed wrapper calls: refuses everything, holds no heap. */
  static readonly disposed: Calls = new Calls({} as HeapExports, 0, DISPOSED);

  readonly wasm: HeapExports;
  /** What this agent has and no wrapper answers for. */
  readonly loans: Loans = new Loans();
  readonly #stackTop: number;
  readonly #home: Home | undefined;
  readonly #get: HeapExports["coheap_cell_get"];
  #state: number;
  #between: number;
  #operations = 0;
  #turnEndQueued = false;
  /** Where the last call that made something says what; undefined: in the details. */
  #answer: Int32Array | undefined;
  /** Why the agent is lost. */
  #lost: CoheapError | undefined;
  /** Whether an audit of this agent has closed the gate, which must not stay closed when the agent leaves. */
  auditing = false;

  constructor(wasm: HeapExports, stackTop: number, state: number = OUTSIDE, home?: Home) {
    this.wasm = wasm;
    this.#stackTop = stackTop;
    this.#home = home;
    this.#get = wasm.coheap_cell_get;
    this.#state = state;
    this.#between = state;
  }

  /** Before a call of wasm at a place of its own, which engines make faster than one through `status`: then `leave`, or `abort`. */
  enter(): void {
    if (this.#state !== ENTERED) this.#prepare();
    this.#state = INSIDE;
  }

  /** After a call that came back. */
  leave(): void {
    this.#state = this.#between;
  }

  /** After a call that an exception left, which is to be thrown again. */
  abort(error: unknown): unknown {
    return this.#aborted(error);
  }

  /** The call that is made most often: a number, or NaN when only `coheap_cell_take` can tell. */
  get(index: number, generation: number): number {
    if (this.#state !== ENTERED) this.#prepare();
    this.#state = INSIDE;
    let value: number;
    try {
      value = this.#get(index, generation);
    } catch (error) {
      throw this.#aborted(error);
    }
    this.#state = this.#between;
    return value;
  }

  /** Calls an export that answers a status, and throws the typed error of any but 0. */
  run(call: Export, a = 0, b = 0, c = 0, d = 0): void {
    const status = this.status(call, a, b, c, d);
    if (status !== 0) throw this.failure(status);
  }

  /** Calls an export and hands its answer on. */
  status(call: Export, a = 0, b = 0, c = 0, d = 0): number {
    if (this.#state !== ENTERED) this.#prepare();
    this.#state = INSIDE;
    let status: number;
    try {
      status = call(a, b, c, d);
    } catch (error) {
      throw this.#aborted(error);
    }
    this.#state = this.#between;
    return status;
  }

  /** As `status`, for exports that take more. */
  statusOf(call: Export, a: number, b: number, c: number, d: number, e: number, f = 0, g = 0, h = 0, i = 0): number {
    if (this.#state !== ENTERED) this.#prepare();
    this.#state = INSIDE;
    let status: number;
    try {
      status = call(a, b, c, d, e, f, g, h, i);
    } catch (error) {
      throw this.#aborted(error);
    }
    this.#state = this.#between;
    return status;
  }

  /** A number of an export that answers minus a status for what it refuses: then throws the typed error. */
  count(answer: number): number {
    if (answer < 0) throw this.failure(-answer);
    return answer;
  }

  /** As `run`, for the few exports that take more. */
  runLong(call: Export, ...values: number[]): void {
    this.run((() => call(...values)) as Export);
  }

  /** As `runLong`, for the calls that wait: they leave the turn meanwhile. */
  wait(call: Export, ...values: number[]): void {
    const status = this.status((() => call(...values)) as Export);
    this.#state = this.#between = OUTSIDE;
    if (status !== 0) throw this.failure(status);
  }

  /**
   * As `run`, for the calls that give this agent a reference, to what they name in the details, or in `answer`. Until `take` or `kept` the
   * next call finds it without an owner and gives it back: whatever exception comes in between, nothing is lost.
   */
  make(call: Export, a: number, b: number, c: number, answer?: Int32Array): void {
    this.loans.pay();
    this.#answer = answer;
    const status = this.status(call, a, b, c);
    if (status !== 0) throw this.failure(status);
    this.#state = MADE;
  }

  /** As `status`, for a call that gives this agent a reference when it answers `least` or more; as `make` otherwise. */
  makeAbove(least: number, call: Export, a: number, b: number): number {
    this.#answer = undefined;
    const answer = this.status(call, a, b);
    if (answer >= least) this.#state = MADE;
    return answer;
  }

  /** The reference that the last call has given: the caller's until it says otherwise, or the turn ends. */
  take(): Loan {
    const answer = this.#answer;
    const loan =
      answer === undefined
        ? this.loans.add(this.detail(0), this.detail(1), true)
        : this.loans.add(answer[0]! >>> 0, answer[1]! >>> 0, true);
    this.#state = this.#between;
    return loan;
  }

  /** A wrapper answers for the reference that the last call has given, if it has given one. */
  kept(): void {
    if (this.#state === MADE) this.#state = this.#between;
  }

  /** Gives back what nobody answers for and no running call needs. */
  settle(): void {
    if (this.#state === MADE) this.take().used = false;
    this.loans.pay();
  }

  /** The i-th number of the last answer or error of this agent. */
  detail(index: number): number {
    return this.#guarded(this.wasm.coheap_detail, index);
  }

  /** The typed error for a status, with the numbers that wasm left for it. */
  failure(status: number): CoheapError {
    const code = codeOf.get(status);
    if (code === undefined) throw new Error(`heap.wasm answered the unknown status ${status}`);
    const details: Record<string, number | string> = {};
    ERRORS[code].details.forEach((name, index) => {
      details[name] = this.detail(index);
    });
    if (code === "COHEAP_WRONG_TYPE") {
      details["expected"] = typeName(this.detail(0));
      details["found"] = typeName(this.detail(1));
    }
    if (code === "COHEAP_NOT_A_NUMBER") details["found"] = valueTypeName(this.detail(0));
    return new CoheapError(code, details as never);
  }

  /** Stays entered from here to the end of the turn. Needed before JavaScript itself writes shared bytes: they belong to the operation. */
  beginTurn(): void {
    if (this.#state !== ENTERED) {
      this.#operations = OPERATIONS_BEFORE_A_TURN;
      this.#prepare();
    }
  }

  /** From here on every call throws COHEAP_DETACHED. Answers whether this was the first time. */
  detach(): boolean {
    if (this.detached) return false;
    if (this.#state === INSIDE) this.#recover();
    if (this.#turnEndQueued) this.#endTurn();
    this.#state = INSIDE; // what is thrown here leaves the work to the next call
    if (this.auditing) this.#guarded(this.wasm.coheap_audit_end);
    this.#home?.leave();
    this.#guarded(this.wasm.coheap_detach);
    this.#state = this.#between = DETACHED;
    this.#home?.moveOut();
    return true;
  }

  /** COHEAP_DETACHED, COHEAP_DISPOSED or COHEAP_AGENT_LOST, where the next call would throw it. */
  checkUsable(): void {
    if (this.#state === DETACHED) throw new CoheapError("COHEAP_DETACHED", {});
    if (this.#state === DISPOSED) throw new CoheapError("COHEAP_DISPOSED", {});
    if (this.#state === LOST)
      throw new CoheapError("COHEAP_AGENT_LOST", this.#lost!.details as never, { cause: this.#lost });
  }

  /** Whether the agent has no seat any more: it has left, or is lost. */
  get detached(): boolean {
    return this.#state === DETACHED || this.#state === LOST;
  }

  /** What has to happen before an entry, unless the turn is entered already. */
  #prepare(): void {
    this.checkUsable();
    this.#tidy();
    if (this.#between === ENTERED || this.#operations++ < OPERATIONS_BEFORE_A_TURN) return;
    // Queued first: an exception between the two must not leave the agent entered for ever.
    if (!this.#turnEndQueued) {
      queueMicrotask(() => this.#turnEnds());
      this.#turnEndQueued = true;
    }
    this.#state = INSIDE;
    const status = this.#guarded(this.wasm.coheap_turn_begin);
    this.#state = OUTSIDE;
    if (status !== 0) throw this.failure(status);
    this.#state = this.#between = ENTERED;
  }

  #turnEnds(): void {
    this.#turnEndQueued = false;
    if (this.detached) return;
    try {
      this.#tidy();
      this.loans.end();
      this.#endTurn();
    } catch (error) {
      // Its user hears of it with the next call.
      if (this.#state !== LOST) throw error;
    }
  }

  #endTurn(): void {
    this.#state = INSIDE;
    this.#guarded(this.wasm.coheap_turn_end);
    this.#state = this.#between = OUTSIDE;
    this.#operations = 0;
  }

  /** What the last call left behind. */
  #tidy(): void {
    if (this.#state === INSIDE) this.#recover();
    else if (this.#state === MADE) this.take().used = false;
  }

  /** After an abort: wasm leaves the turn, so this side does too. The state changes last: what is thrown here leaves the work to the next entry. */
  #recover(): void {
    this.wasm.__stack_pointer.value = this.#stackTop;
    this.#guarded(this.wasm.coheap_recover);
    this.#state = this.#between = OUTSIDE;
  }

  /** A call that is no operation: an exception leaves the state as it is, and a trap is a trap. */
  #guarded(call: (value: number) => number, value = 0): number {
    try {
      return call(value);
    } catch (error) {
      throw error instanceof WebAssembly.RuntimeError ? this.#surrender(error) : error;
    }
  }

  #aborted(error: unknown): unknown {
    if (error instanceof WebAssembly.RuntimeError) return this.#surrender(error);
    try {
      this.#recover();
    } catch {
      // The stack is still too full: the next entry recovers. Or it was a trap.
    }
    return this.#lost ?? error;
  }

  #surrender(cause: unknown): CoheapError {
    // First: whatever happens here, nothing runs in the agent's name any more.
    this.#state = this.#between = LOST;
    let agent = -1;
    this.#lost = new CoheapError("COHEAP_AGENT_LOST", { agent }, { cause });
    try {
      this.wasm.__stack_pointer.value = this.#stackTop;
      agent = this.wasm.coheap_surrender();
      this.#lost = new CoheapError("COHEAP_AGENT_LOST", { agent }, { cause });
    } catch {
      // Its seat is given up with its thread.
    }
    return this.#lost;
  }
}
