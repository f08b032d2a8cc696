/** What a pipe is asked for: how to make one, to write, and to read. */
import { checkBytes, checkInteger, invalid } from "./check.js";

/** How to write. */
export interface WriteOptions {
  /** Milliseconds to wait for room; for ever when absent. */
  readonly timeout?: number;
  /** Ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What to read. */
export interface ReadOptions extends WriteOptions {
  /** Most bytes to take: 28 KiB for a read, 64 KiB for a lease when absent. */
  readonly max?: number;
  /**
   * Take whole tokens, up to the last delimiter there is: one byte, or one to eight bytes, or text of so many. A single token may be longer
   * than `max`. What comes after the last delimiter of the stream is a token, too. A token may have as many bytes, and be of as many writes, as
   * the pipe has room for (see `capacity`); of more it is COHEAP_TOKEN_TOO_LONG. Who writes a few bytes at a time does better with `writeMany`.
   *
   * Tokens are not put together again of pieces that came back from leases: where one was taken without `until`, or with another, its last
   * token may be cut, and is answered so. Who reads tokens leases tokens.
   */
  readonly until?: number | string | Uint8Array;
}

/** How to make a pipe. */
export interface PipeOptions {
  /**
   * Bytes that it has room for, 4,096 to 2³⁰; 64 KiB when absent. It counts for a new pipe alone. While one byte is free, a write of up to
   * 4,096 bytes goes in whole.
   *
   * There is also room for about one write for each 32 bytes, 4,095 at most: above 128 KiB a pipe has room for longer writes, not for more of
   * them. So 1 MiB is full of 4,095 writes of 256 bytes. `writeMany` makes one write of small chunks, and a long chunk is written in pieces of
   * at most 28 KiB, of which no more than 112 MiB get in.
   */
  readonly capacity?: number;
}

const LARGEST = 2 ** 30;

const encoder = new TextEncoder();

/** A checked wish to read. */
export class Wish {
  readonly max: number;
  readonly delimiterLength: number = 0;
  readonly low: number = 0;
  readonly high: number = 0;
  /** Up to where there is no delimiter: what the last attempt said. */
  scanned = -1;

  constructor(max: unknown, until: unknown, most: number) {
    this.max = max === undefined ? most : checkInteger("max", max, 1, LARGEST);
    if (until === undefined) return;
    const bytes =
      typeof until === "number"
        ? [checkInteger("until", until, 0, 255)]
        : typeof until === "string"
          ? encoder.encode(until)
          : checkBytes("until", until);
    if (bytes.length < 1 || bytes.length > 8) throw invalid("until", "one to eight bytes", until);
    this.delimiterLength = bytes.length;
    for (const byte of bytes) {
      this.high = ((this.high << 8) | (this.low >>> 24)) >>> 0;
      this.low = ((this.low << 8) | byte) >>> 0;
    }
  }
}
