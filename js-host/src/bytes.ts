/** A block of bytes in the heap, of a fixed length. */
import { checkBytes, checkInteger } from "./check.js";
import { CoheapError } from "./errors.js";
import { type Place, type PlainForm, type Seen, SharedResource } from "./resource.js";
import { LARGEST_SHOWN, type Shown, shown } from "./shown.js";

/** Longest block that can be asked for: what a 32-bit address can name. */
const LONGEST = 2 ** 32;
/** Operations stay short, so that an audit finds a gap between them. */
const SUMMED_AT_ONCE = 2 ** 20;

/**
 * Bytes in the heap, zero at first. What `read` hands out is a private copy that every web API takes; `write` copies in.
 * Both go in pieces of 28 KiB: a longer call is not one step for agents that read or write the same bytes at the same time,
 * and a caller that dies in it may have written a part.
 *
 * Every call throws COHEAP_STALE_HANDLE once the block was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`, COHEAP_OUT_OF_RANGE for a range that is not inside the block. None blocks.
 */
export class SharedBytes extends SharedResource {
  /** In bytes. */
  readonly length: number;

  /** @internal */
  constructor(place: Place) {
    super(place);
    const { calls } = place.agent;
    calls.run(calls.wasm.coheap_bytes_length, place.index, place.generation);
    this.length = calls.detail(0);
  }

  /** A private copy of `length` bytes from `offset` on (to the end, when absent). O(length). */
  read(offset: number = 0, length?: number): Uint8Array<ArrayBuffer> {
    const size = this.#checkRange(offset, length);
    const { calls, place } = this;
    const { transfer } = place.agent;
    const copy = new Uint8Array(size);
    calls.beginTurn();
    inPieces(size, transfer.length, (at, length) => {
      calls.run(calls.wasm.coheap_bytes_read, place.index, place.generation, offset + at, length);
      copy.set(transfer.subarray(0, length), at);
    });
    return copy;
  }

  /** Copies all of `source` to `offset` on. O(source.length). */
  write(offset: number, source: Uint8Array): void {
    const bytes = checkBytes("source", source);
    this.#checkRange(offset, bytes.length);
    const { calls, place } = this;
    const { transfer } = place.agent;
    calls.beginTurn(); // the transfer buffer belongs to the operation
    inPieces(bytes.length, transfer.length, (at, length) => {
      transfer.set(bytes.subarray(at, at + length));
      calls.run(calls.wasm.coheap_bytes_write, place.index, place.generation, offset + at, length);
    });
  }

  /** The sum of the byte values of a range (the whole block when absent), computed in place: nothing is copied out. O(length). */
  sum(offset: number = 0, length?: number): number {
    const size = this.#checkRange(offset, length);
    const { calls, place } = this;
    let sum = 0;
    inPieces(size, SUMMED_AT_ONCE, (at, length) => {
      calls.run(calls.wasm.coheap_bytes_sum, place.index, place.generation, offset + at, length);
      sum += calls.detail(0);
    });
    return sum;
  }

  /** @internal */
  override plain(_seen: Seen, form: PlainForm): unknown {
    return form === "json" ? this.handle : this.read();
  }

  /** @internal */
  override get [shown](): Shown {
    this.calls.checkUsable();
    return { size: this.length, contents: () => this.read(0, Math.min(this.length, LARGEST_SHOWN)) };
  }

  /** Checks that a range of whole numbers lies inside the block, and answers its length. */
  #checkRange(offset: unknown, length: unknown): number {
    const from = checkInteger("offset", offset, 0, LONGEST);
    const size = length === undefined ? Math.max(0, this.length - from) : checkInteger("length", length, 0, LONGEST);
    if (from + size > this.length)
      throw new CoheapError("COHEAP_OUT_OF_RANGE", { offset: from, length: size, limit: this.length });
    return size;
  }
}

/** One step for each piece of `size`, and one for nothing at all: the handle is checked in any case. */
function inPieces(size: number, longest: number, step: (at: number, length: number) => void): void {
  let at = 0;
  do {
    step(at, Math.min(size - at, longest));
    at += longest;
  } while (at < size);
}
