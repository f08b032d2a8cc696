/** Bytes and texts on their way into a pipe, and how they are cut into writes. */
import { checkBytes, invalid } from "./check.js";
import type { Chunk } from "./pipe.js";

/** Bytes of a write that is one in any case: no other writer's come between. */
export const ATOMIC = 4096;
/** Up to here a loop is faster than a call of the engine. */
const SHORT = 64;

const encoder = new TextEncoder();
/** Where small chunks are put together. What stands in it is done with when `fill` returns. */
const small = new Uint8Array(ATOMIC);

/**
 * Chunks that are written one after the other. Those of at most 4,096 bytes share a write, which has them whole; a longer one goes in pieces.
 * No code of the user runs from here on, so what stands in the transfer buffer stays there until the write.
 */
export class Outgoing {
  /** Bytes that were written. */
  written = 0;
  readonly #chunks: Chunk[];
  /** The first chunk that is not written whole, and how many of its bytes are. */
  #at = 0;
  #offset = 0;
  /** As `#at`, if the write that was filled last is done. */
  #next = 0;

  /** `chunks` is this object's own. */
  constructor(chunks: Chunk[]) {
    this.#chunks = chunks;
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index];
      if (typeof chunk === "string" || (chunk instanceof Uint8Array && chunk.length > 0)) continue;
      chunks[index] = checkBytes("chunk", chunk); // of another realm, detached, or nothing of that kind
    }
  }

  get isDone(): boolean {
    return this.#at >= this.#chunks.length;
  }

  /** Puts the next write into `buffer`, and answers how many bytes it has. */
  fill(buffer: Uint8Array): number {
    const chunks = this.#chunks;
    const first = this.#bytes(this.#at);
    const rest = first.length - this.#offset;
    if (rest > ATOMIC) {
      this.#next = this.#at;
      const length = Math.min(rest, buffer.length);
      buffer.set(first.subarray(this.#offset, this.#offset + length));
      return length;
    }
    // Into memory of this thread's own, which engines write to faster, and from there at once.
    let length = copy(first, this.#offset, small, 0);
    let next = this.#at + 1;
    for (; next < chunks.length; next++) {
      const chunk = chunks[next]!;
      let end: number;
      if (typeof chunk === "string" && chunk.length <= SHORT) {
        if (length + chunk.length > ATOMIC) break;
        end = copyAscii(chunk, small, length);
        if (end < 0) {
          const bytes = this.#bytes(next);
          if (length + bytes.length > ATOMIC) break;
          end = copy(bytes, 0, small, length);
        }
      } else {
        const bytes = this.#bytes(next);
        if (length + bytes.length > ATOMIC) break;
        end = copy(bytes, 0, small, length);
      }
      length = end;
    }
    this.#next = next;
    buffer.set(length === ATOMIC ? small : small.subarray(0, length));
    return length;
  }

  /** So many bytes of what was filled last were written. */
  advance(count: number): void {
    this.written += count;
    if (this.#next > this.#at) {
      this.#at = this.#next;
      this.#offset = 0;
      return;
    }
    this.#offset += count;
    if (this.#offset === this.#bytes(this.#at).length) {
      this.#at++;
      this.#offset = 0;
    }
  }

  /** The bytes of a chunk, which stay its bytes. */
  #bytes(at: number): Uint8Array {
    const chunk = this.#chunks[at]!;
    if (typeof chunk !== "string") return chunk;
    const bytes = encoder.encode(chunk);
    this.#chunks[at] = bytes;
    return bytes;
  }
}

/** One chunk. */
export function outgoing(chunk: unknown): Outgoing {
  return new Outgoing([chunk as Chunk]);
}

/** Chunks of an iterable, which is run to its end first. */
export function outgoingMany(chunks: unknown): Outgoing {
  const iterable = chunks as Iterable<Chunk> | undefined | null;
  if (typeof chunks !== "object" || typeof iterable?.[Symbol.iterator] !== "function") {
    throw invalid("chunks", "an iterable of Uint8Arrays and strings", chunks);
  }
  return new Outgoing([...iterable]);
}

/** Copies the bytes from `offset` on to `at`, and answers where they end. */
export function copy(from: Uint8Array, offset: number, to: Uint8Array, at: number): number {
  const length = from.length - offset;
  if (length > SHORT) {
    to.set(offset === 0 ? from : from.subarray(offset), at);
  } else {
    for (let index = 0; index < length; index++) to[at + index] = from[offset + index]!;
  }
  return at + length;
}

/** As `copy`, of text; -1 if it is no ASCII. */
function copyAscii(text: string, to: Uint8Array, at: number): number {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 127) return -1;
    to[at + index] = unit;
  }
  return at + text.length;
}
