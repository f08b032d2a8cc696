/** A pipe whose reads and writes may block their agent. */
import { checkMilliseconds, checkOptions } from "./check.js";
import { CoheapError } from "./errors.js";
import type { SharedLease } from "./lease.js";
import { type Outgoing, outgoing, outgoingMany } from "./outgoing.js";
import { type Bytes, type Chunk, LEASED_AT_ONCE, NOTHING, SharedPipe } from "./pipe.js";
import { type ReadOptions, Wish, type WriteOptions } from "./pipe-options.js";
import { reapLeft } from "./reaper.js";

/** Milliseconds between two looks of one that blocks at who broke. */
const LOOK_EVERY = 100;

/** A pipe as an agent sees it that may block. */
export class BlockingPipe extends SharedPipe implements Iterable<Bytes> {
  /** As `read`; blocks this agent until there is something. */
  readSync(options?: Omit<ReadOptions, "signal">): Bytes | null {
    if (options === undefined) {
      const found = this.attemptRead(this.anything, false);
      if (found !== NOTHING) return found;
    }
    const { max, until, timeout } = checkOptions(options, ["max", "until", "timeout"]);
    const wish = new Wish(max, until, this.anything.max);
    return this.#block(timeout, () => this.attemptRead(wish, true));
  }

  /** As `lease`; blocks this agent until there is something. */
  leaseSync(options?: Omit<ReadOptions, "signal">): SharedLease | null {
    const { max, until, timeout } = checkOptions(options, ["max", "until", "timeout"]);
    const wish = new Wish(max, until, LEASED_AT_ONCE);
    return this.#block(timeout, () => this.attemptLease(wish, true));
  }

  /** As `write`; blocks this agent until all is in the pipe. */
  writeSync(chunk: Chunk, options?: Omit<WriteOptions, "signal">): void {
    if (options !== undefined || !this.writeAtOnce(chunk)) this.#writeAll(outgoing(chunk), options);
  }

  /** As `writeMany`; blocks this agent until all is in the pipe. */
  writeManySync(chunks: Iterable<Chunk>, options?: Omit<WriteOptions, "signal">): void {
    this.#writeAll(outgoingMany(chunks), options);
  }

  /** The bytes, as `readSync` answers them, up to the end. */
  *[Symbol.iterator](): Generator<Bytes, void, undefined> {
    for (;;) {
      const bytes = this.readSync();
      if (bytes === null) return;
      yield bytes;
    }
  }

  #writeAll(out: Outgoing, options: unknown): void {
    const { timeout } = checkOptions(options, ["timeout"]);
    this.#block(timeout, () => this.attemptAll(out), out);
  }

  #block<T>(timeout: unknown, attempt: () => T | typeof NOTHING, out?: Outgoing): T {
    const milliseconds = checkMilliseconds("timeout", timeout);
    let found = attempt();
    if (found !== NOTHING) return found;
    const deadline = performance.now() + milliseconds;
    let looked = performance.now();
    // Each round sleeps until something changed, 100 ms at most.
    for (;;) {
      const now = performance.now();
      // What it waits for may be in the hands of one that broke, and whoever could reap it blocks, too.
      if (now - looked > LOOK_EVERY) {
        looked = now;
        reapLeft(this.place.agent);
      }
      const left = deadline - now;
      if (left <= 0) throw new CoheapError("COHEAP_TIMED_OUT", { milliseconds, written: out?.written ?? 0 });
      const { address, expected } = this.watched();
      this.calls.wait(this.calls.wasm.coheap_sleep, address, expected, left);
      found = attempt();
      if (found !== NOTHING) return found;
    }
  }
}
