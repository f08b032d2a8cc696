/** Bytes on loan from a pipe. */
import type { Agent } from "./agent.js";
import { type Code, CoheapError, isCoheapError } from "./errors.js";

/**
 * What a lease has of a pipe: where in the stream it begins, and how many bytes it has, among others.
 * @internal
 */
export interface Leased {
  readonly pipe: Lender;
  readonly number: number;
  readonly generation: number;
  readonly position: number;
  readonly length: number;
}

/**
 * A pipe, to its leases.
 * @internal
 */
interface Lender {
  placeFor(agent: Agent, argument: string): { readonly index: number; readonly generation: number };
  /** Ends a loan, as one that is used up or as one that goes back. */
  endLoan(loan: Leased, commit: boolean): void;
}

/** A lease that nobody disposed of gives its bytes back when it is collected. */
const forgotten = new FinalizationRegistry<Leased>((loan) => {
  try {
    loan.pipe.endLoan(loan, false);
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
  #loan: Leased | undefined;

  /** @internal */
  constructor(bytes: Uint8Array<ArrayBuffer>, loan: Leased) {
    this.bytes = bytes;
    this.offset = BigInt(loan.position);
    this.#loan = loan;
    forgotten.register(this, loan, this);
  }

  /**
   * The bytes are used up: nobody reads them again. One step: if the caller dies in it, they are, or all of them go back. Never blocks.
   * COHEAP_LEASE_LOST when they went back before, or were committed.
   */
  commit(): void {
    const loan = this.#loan ?? lost(this.offset);
    loan.pipe.endLoan(loan, true);
    this.over();
  }

  /** Gives the bytes back, if they were not committed. Never blocks; calling it again does nothing. */
  dispose(): void {
    const loan = this.#loan;
    try {
      loan?.pipe.endLoan(loan, false);
    } catch (error) {
      // With its pipe or its heap the loan went back already.
      if (!isCoheapError(error) || !GONE.has(error.code)) throw error;
    }
    // Last: what an exception cut short is done when it is called again.
    this.over();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * The loan, as a call takes it that commits it: for this agent alone. COHEAP_LEASE_LOST when it is over.
   * @internal
   */
  loanFor(agent: Agent): readonly number[] {
    const { pipe, number, generation, position, length } = this.#loan ?? lost(this.offset);
    const place = pipe.placeFor(agent, "settle");
    return [place.index, place.generation, number, generation, position, length];
  }

  /**
   * The loan is over.
   * @internal
   */
  over(): void {
    this.#loan = undefined;
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
