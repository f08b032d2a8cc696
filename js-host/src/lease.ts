/** Bytes on loan from a pipe. */
import { type Code, CoheapError, isCoheapError } from "./errors.js";

/**
 * What a lease does with its pipe: ends the loan, as one that is used up or as one that goes back.
 * @internal
 */
export type EndLoan = (commit: boolean) => void;

/** A lease that nobody disposed of gives its bytes back when it is collected. */
const forgotten = new FinalizationRegistry<EndLoan>((end) => {
  try {
    end(false);
  } catch {
    // The pipe or the heap is gone, and the loan with it.
  }
});

/**
 * Bytes that were taken from a pipe on loan. They go back, as the next to be read, unless `commit` says that they are used up: by
 * `dispose`, with the pipe's wrapper, and when this agent detaches or dies.
 */
export class SharedLease {
  /** A private copy of the bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where in the pipe's stream they begin, in bytes, modulo 4 TiB. */
  readonly offset: bigint;
  #end: EndLoan | undefined;

  /** @internal */
  constructor(bytes: Uint8Array<ArrayBuffer>, offset: bigint, end: EndLoan) {
    this.bytes = bytes;
    this.offset = offset;
    this.#end = end;
    forgotten.register(this, end, this);
  }

  /**
   * The bytes are used up: nobody reads them again. One step: if the caller dies in it, they are, or all of them go back. Never blocks.
   * COHEAP_LEASE_LOST when they went back before, or were committed.
   */
  commit(): void {
    (this.#end ?? lost(this.offset))(true);
    this.#finished();
  }

  /** Gives the bytes back, if they were not committed. Never blocks; calling it again does nothing. */
  dispose(): void {
    const end = this.#end;
    this.#finished();
    try {
      end?.(false);
    } catch (error) {
      // With its pipe or its heap the loan went back already.
      if (!isCoheapError(error) || !GONE.has(error.code)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #finished(): void {
    this.#end = undefined;
    forgotten.unregister(this);
  }
}

const GONE: ReadonlySet<Code> = new Set([
  "COHEAP_LEASE_LOST",
  "COHEAP_STALE_HANDLE",
  "COHEAP_DISPOSED",
  "COHEAP_DETACHED",
] as const);

function lost(offset: bigint): never {
  throw new CoheapError("COHEAP_LEASE_LOST", { offset: Number(offset) });
}
