/** Contents that are too long for the transfer buffer: they cross in pieces, into a region of bytes that is the agent's own until then. */
import type { Calls } from "./calls.js";
import type { Loan } from "./loans.js";
import { BYTES, isWide, LATIN1, type Text, UTF16 } from "./strings.js";
import * as types from "./types.js";

/** Bytes that a value may have in the transfer buffer: two values and a name have room beside each other. What is longer is staged. */
export const ROOM = 12 * 1024;

/** A byte region that holds long contents on their way in: ours until `Values.unstage`. @internal */
export interface Staged {
  readonly form: number;
  readonly length: number;
  readonly loan: Loan;
}

/** How one agent stages. @internal */
export class Staging {
  readonly #transfer: Uint8Array;
  readonly #units: Uint16Array;
  readonly #text: Text;

  constructor(transfer: Uint8Array, text: Text) {
    this.#transfer = transfer;
    this.#units = new Uint16Array(transfer.buffer, transfer.byteOffset, transfer.length >> 1);
    this.#text = text;
  }

  /** Puts a text into a region. */
  text(text: string, calls: Calls): Staged {
    const form = isWide(text) ? UTF16 : LATIN1; // wasm sees whether it is ASCII
    const width = form === UTF16 ? 2 : 1;
    return this.#fill(form, text.length * width, calls, (at) => {
      const from = at / width;
      const piece = text.slice(from, from + ROOM / 2);
      // A piece of a wide text may be narrow: it is written as what the whole is.
      if (form === UTF16) {
        for (let i = 0; i < piece.length; i++) this.#units[i] = piece.charCodeAt(i);
      } else {
        this.#text.write(piece, 0);
      }
      return piece.length * width;
    });
  }

  /** Puts bytes of this form into a region. */
  bytes(form: number, bytes: Uint8Array, calls: Calls): Staged {
    return this.#fill(form, bytes.length, calls, (at) => {
      const piece = bytes.subarray(at, at + this.#transfer.length);
      this.#transfer.set(piece);
      return piece.length;
    });
  }

  /** Puts records that `fill` writes into the transfer buffer, so many bytes each time, one behind the other into a region of `length` bytes. */
  records(length: number, calls: Calls, fill: () => number): Staged {
    return this.#fill(BYTES, length, calls, fill);
  }

  /** `fill` answers how many bytes it wrote, 0 at the end. */
  #fill(form: number, length: number, calls: Calls, fill: (at: number) => number): Staged {
    const { wasm } = calls;
    calls.beginTurn(); // with its end, what an exception has left goes back at last
    calls.make(wasm.coheap_open, types.BYTES, 0, length);
    const loan = calls.take();
    try {
      for (let at = 0; at < length; ) {
        calls.beginTurn();
        const size = fill(at);
        if (size === 0) break;
        calls.run(wasm.coheap_bytes_write, loan.index, loan.generation, at, size);
        at += size;
      }
      return { form, length, loan };
    } catch (error) {
      loan.used = false;
      calls.settle();
      throw error;
    }
  }
}
