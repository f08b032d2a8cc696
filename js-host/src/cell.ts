/** A value that every agent reads and writes. */

import type { Calls } from "./calls.js";
import { checkBytes, checkMilliseconds, checkNumber, checkOptions, checkSignal, isBytes } from "./check.js";
import { type Place, SharedResource } from "./resource.js";
import { type Shown, shown } from "./shown.js";
import type { Staged } from "./staging.js";
import type { Scalar } from "./value.js";
import { type Values, valuesOf } from "./values.js";
import { type Outcome, waitForChange } from "./wait.js";

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds; for ever when absent. */
  readonly timeout?: number;
  /** Ends the wait: its promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * One value in the heap: undefined, null, a boolean, number, bigint, string or Uint8Array. Each call is one step, never blocks, and costs
 * nanoseconds for a number; if the caller dies in it, the cell holds the old value or the new one. Values are compared as `Object.is` does,
 * bytes by their contents: NaN is equal to NaN, -0 is not 0, 1 is not "1". Strings keep every unit, lone surrogates too.
 *
 * Every call throws COHEAP_STALE_HANDLE once the cell was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`; those that take a value COHEAP_UNSUPPORTED_VALUE for an object, function or symbol, COHEAP_OUT_OF_MEMORY if there is no room.
 */
export class SharedCell<V extends Scalar = number> extends SharedResource {
  readonly #index: number;
  readonly #generation: number;
  readonly #values: Values;

  /** @internal */
  constructor(place: Place) {
    super(place);
    this.#index = place.index;
    this.#generation = place.generation;
    this.#values = valuesOf(place.agent);
  }

  /** The value; bytes as a private copy. Stores nothing in shared memory. */
  get(): V {
    const value = this.calls.get(this.#index, this.#generation);
    return (Number.isNaN(value) ? this.#values.take(this.#index, this.#generation, this.calls) : value) as V;
  }

  /** Replaces the value. Bytes are copied. */
  set(value: V): void {
    const { calls } = this;
    if (typeof value !== "number") {
      this.#put(value, calls);
      return;
    }
    const { coheap_cell_set } = calls.wasm;
    let status: number;
    calls.enter();
    try {
      status = coheap_cell_set(this.#index, this.#generation, value);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (status !== 0) throw calls.failure(status);
  }

  /** Adds, as one step, and answers the sum. COHEAP_NOT_A_NUMBER if the cell holds something else. */
  add(delta: number = 1): number {
    checkNumber("delta", delta);
    const { calls } = this;
    calls.run(calls.wasm.coheap_cell_add, this.#index, this.#generation, delta);
    return calls.detail(0);
  }

  /** Replaces the value if it is `expected`, as one step. Answers whether it did. */
  compareAndSet(expected: V, value: V): boolean {
    const { calls } = this;
    if (typeof expected === "number" && typeof value === "number") {
      calls.run(calls.wasm.coheap_cell_compare_and_set, this.#index, this.#generation, expected, value);
      return calls.detail(0) === 1;
    }
    return this.#compareAndPut(expected, value, calls);
  }

  /**
   * Waits until the value is not `old` any more: "changed", at once if it differs already, or "timed-out". Blocks nobody.
   * A value that changes and changes back may go unnoticed. While the promise is pending, Node stays alive.
   * Rejects with COHEAP_STALE_HANDLE when the cell is destroyed meanwhile, with COHEAP_DETACHED when the heap is detached. A cell needs no
   * agent, so the death of one that was to change it does not end the wait (COHEAP_AGENT_LOST here is this agent's own end): give a timeout
   * or a signal, and hear of deaths by `heap.on("agentlost")`.
   */
  async waitAsync(old: V, options?: WaitOptions): Promise<Outcome> {
    const { timeout, signal } = checkOptions(options, ["timeout", "signal"]);
    const milliseconds = checkMilliseconds("timeout", timeout);
    const checked = checkSignal("signal", signal);
    const { calls } = this;
    // What the caller does to its bytes later is nothing to this wait.
    const kept: unknown = isBytes(old) ? checkBytes("old", old).slice() : old;
    const watched = () => {
      const address = calls.detail(0);
      return address === 0 ? undefined : { address, expected: calls.detail(1) };
    };
    const watch = () => {
      if (typeof kept === "number") {
        calls.run(calls.wasm.coheap_cell_watch, this.#index, this.#generation, kept);
        return watched();
      }
      return this.withValue(kept, calls, (kind, number) => {
        calls.run(calls.wasm.coheap_cell_watch_value, this.#index, this.#generation, kind, number);
        return watched();
      });
    };
    return await waitForChange(this.place.agent, watch, milliseconds, checked);
  }

  /** The value, for `JSON.stringify`. What names the cell is its `handle`. */
  override toJSON(): V {
    return this.get();
  }

  /** @internal */
  override plain(): unknown {
    return this.get();
  }

  /** @internal */
  override get [shown](): Shown {
    this.calls.checkUsable();
    return { contents: () => ({ value: this.get() }) };
  }

  /**
   * Hands a value over for one call, and answers what that answers.
   * @internal
   */
  protected withValue<R>(value: unknown, calls: Calls, call: (kind: number, number: number) => R): R {
    const values = this.#values;
    const staged = values.stage(value, calls);
    try {
      values.encode(value, 0, staged, calls);
      return call(values.kind, values.number);
    } finally {
      if (staged !== undefined) staged.loan.used = false;
      values.unstage(staged, calls);
    }
  }

  #put(value: unknown, calls: Calls): void {
    const values = this.#values;
    const staged = values.stage(value, calls);
    try {
      values.encode(value, 0, staged, calls);
      calls.run(calls.wasm.coheap_cell_put, this.#index, this.#generation, values.kind, values.number);
    } finally {
      if (staged !== undefined) staged.loan.used = false;
      values.unstage(staged, calls);
    }
  }

  #compareAndPut(expected: unknown, value: unknown, calls: Calls): boolean {
    const values = this.#values;
    const first = values.stage(expected, calls);
    let second: Staged | undefined;
    try {
      second = values.stage(value, calls);
      values.encode(expected, 0, first, calls);
      const { kind, number, end } = values;
      values.encode(value, end, second, calls);
      const call = calls.wasm.coheap_cell_compare_and_put;
      calls.runLong(call as never, this.#index, this.#generation, kind, number, values.kind, values.number);
      return calls.detail(0) === 1;
    } finally {
      if (first !== undefined) first.loan.used = false;
      if (second !== undefined) second.loan.used = false;
      values.unstage(first ?? second, calls);
    }
  }
}

/** A cell as an agent sees it that may block. */
export class BlockingCell<V extends Scalar = number> extends SharedCell<V> {
  /**
   * Blocks this agent until the value is not `old` any more: "changed", at once if it differs already, or "timed-out". The death of an agent
   * that was to change it does not end the wait, so give a timeout. Only that of a worker that this thread has started does, with
   * COHEAP_AGENT_LOST: its end is proven, and what it had given back, when this thread's event loop turns.
   * @param timeoutMs milliseconds; for ever when absent.
   */
  waitSync(old: V, timeoutMs?: number): Outcome {
    const milliseconds = checkMilliseconds("timeoutMs", timeoutMs);
    const { calls, place } = this;
    const { coheap_cell_wait: wait, coheap_cell_wait_value: waitValue } = calls.wasm;
    if (typeof old === "number") {
      calls.wait(wait as never, place.index, place.generation, old, milliseconds);
      return calls.detail(0) === 0 ? "changed" : "timed-out";
    }
    return this.withValue(old, calls, (kind, number) => {
      calls.wait(waitValue as never, place.index, place.generation, kind, number, milliseconds);
      return calls.detail(0) === 0 ? "changed" : "timed-out";
    });
  }
}
