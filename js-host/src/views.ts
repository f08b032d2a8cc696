/**
 * Views of the heap's memory. A view once made never goes wrong: shared memory neither moves nor shrinks.
 * What does go stale is `memory.buffer`: engines show an agent an old, too short buffer after another agent grew the memory.
 * So this is the only module that reads it: whoever needs bytes beyond its end makes the engine look again by growing by nothing.
 */
import { PAGE } from "./check.js";
import { CoheapError } from "./errors.js";

/** The one rule that this side checks, that addresses lead into the heap: the audit's own begin at 1. */
export const BEYOND_THE_MEMORY = 0;

/** What wasm says of an agent's own memory is as true as the heap's bytes are: a place beyond it is COHEAP_CORRUPT. */
export function checkWithin(bytes: Uint8Array, at: number, length: number): void {
  if (at >= 0 && length >= 0 && at + length <= bytes.length) return;
  throw new CoheapError("COHEAP_CORRUPT", { rule: BEYOND_THE_MEMORY, address: bytes.byteOffset + at });
}

export class Views {
  readonly #memory: WebAssembly.Memory;
  #bytes: Uint8Array;
  #words: Int32Array;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Int32Array(memory.buffer);
  }

  /** All 32-bit words of the memory, at least up to the byte address `end`. */
  words(end: number): Int32Array {
    if (end > this.#bytes.length) this.#refresh(end);
    return this.#words;
  }

  /** A view of `length` bytes at `address`, for as long as the caller likes. */
  bytes(address: number, length: number): Uint8Array {
    const end = address + length;
    if (end > this.#bytes.length) this.#refresh(end);
    return this.#bytes.subarray(address, end);
  }

  /** Bytes of the memory now. */
  size(): number {
    return this.#memory.grow(0) * PAGE;
  }

  #refresh(end: number): void {
    this.#memory.grow(0);
    const { buffer } = this.#memory;
    if (end > buffer.byteLength) throw new CoheapError("COHEAP_CORRUPT", { rule: BEYOND_THE_MEMORY, address: end });
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }
}

/** The atomic 32-bit word at the byte address `at`, unsigned. */
export function loadWord(views: Views, at: number): number {
  return Atomics.load(views.words(at + 4), at >>> 2) >>> 0;
}
