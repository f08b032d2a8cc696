/**
 * Text between JavaScript and the transfer buffer, by the fastest way that this engine has. Units cross, not characters: a lone surrogate
 * comes out as it went in.
 *
 * In: Node's Buffer writes ASCII at the speed of a copy and tells by its count that it was ASCII. Engines without it are quickest with a
 * loop up to some hundred units, and above with `encodeInto`, which some of them refuse on shared memory: so into memory of our own, and
 * then a copy. Out: likewise `latin1Slice`, a loop, or TextDecoder over a copy of our own.
 */

import { checkWithin } from "./views.js";

/** The forms of contents, as wasm numbers them. */
export const ASCII = 1;
export const LATIN1 = 2;
export const UTF16 = 3;
export const BYTES = 4;
export const NATURAL = 5;
export const NEGATIVE = 6;
export const REFERENCE = 7;

/** Up to here a loop beats every call. */
const LOOPED = 28;
/** And up to here where there is no Buffer. */
const LOOPED_WITHOUT_BUFFER = 512;
const DECODED_BY_LOOP = 64;
/** Arguments that one call takes without harm to the stack. */
const APPLIED = 1024;
/** Bytes that a writer may leave free because the next character did not fit. */
const SLACK = 4;

const wide = /[^\0-\xff]/;

/** Whether a string has a unit of more than a byte. Engines that keep narrow strings narrow know it at once. */
export function isWide(text: string): boolean {
  return wide.test(text);
}

/** By some units of a text that is not empty: whether it is worth trying. */
function looksAscii(text: string): boolean {
  const { length } = text;
  return (text.charCodeAt(0) | text.charCodeAt(length >> 1) | text.charCodeAt(length - 1)) < 0x80;
}

/** What Node's Buffer has beside its documented methods. */
interface NodeBuffer extends Uint8Array {
  latin1Write(text: string, offset: number, length: number): number;
  utf8Write(text: string, offset: number, length: number): number;
  ucs2Write(text: string, offset: number, length: number): number;
  latin1Slice(start: number, end: number): string;
  ucs2Slice(start: number, end: number): string;
}

/** Reads and writes text in one agent's transfer buffer. */
export class Text {
  /** Bytes of the text that was written last. */
  length = 0;

  readonly #bytes: Uint8Array;
  readonly #units: Uint16Array;
  readonly #buffer: NodeBuffer | undefined;
  #scratch: { readonly bytes: Uint8Array; readonly units: Uint16Array } | undefined;
  #encoder: TextEncoder | undefined;
  #utf8: TextDecoder | undefined;
  #utf16: TextDecoder | undefined;

  constructor(transfer: Uint8Array) {
    this.#bytes = transfer;
    this.#units = new Uint16Array(transfer.buffer, transfer.byteOffset, transfer.length >> 1);
    this.#buffer = nodeBuffer(transfer);
  }

  /** Writes all of `text` at `at`, a multiple of 8 with room for two bytes a unit, and answers its form. */
  write(text: string, at: number): number {
    const { length } = text;
    this.length = length;
    if (length <= LOOPED) return this.#writeByLoop(text, at);
    return this.#buffer === undefined ? this.#writeByEncoder(text, at) : this.#writeByBuffer(text, at, this.#buffer);
  }

  #writeByBuffer(text: string, at: number, buffer: NodeBuffer): number {
    const { length } = text;
    const room = this.#bytes.length - at;
    // As many bytes as units, where there was room for more: then every unit is ASCII.
    if (looksAscii(text) && room > length + SLACK && buffer.utf8Write(text, at, room) === length) return ASCII;
    buffer.latin1Write(text, at, length);
    if (buffer.latin1Slice(at, at + length) === text) return LATIN1; // a wide unit would have lost its upper half
    this.length = 2 * length;
    buffer.ucs2Write(text, at, 2 * length);
    return UTF16;
  }

  #writeByEncoder(text: string, at: number): number {
    const { length } = text;
    if (length > LOOPED_WITHOUT_BUFFER && looksAscii(text)) {
      const { bytes } = this.#ownMemory();
      this.#encoder ??= new TextEncoder();
      if (bytes.length > length + SLACK && this.#encoder.encodeInto(text, bytes).written === length) {
        this.#bytes.set(bytes.subarray(0, length), at);
        return ASCII;
      }
    }
    return this.#writeByLoop(text, at);
  }

  /** The text of `length` bytes at `at`, a multiple of 8. */
  read(form: number, at: number, length: number): string {
    checkWithin(this.#bytes, at, length);
    if (form === UTF16) {
      if (this.#buffer !== undefined) return this.#buffer.ucs2Slice(at, at + length);
      return this.#readUnits(this.#units.subarray(at >> 1, (at + length) >> 1));
    }
    if (this.#buffer !== undefined) return this.#buffer.latin1Slice(at, at + length);
    if (length <= DECODED_BY_LOOP) {
      let text = "";
      for (let i = at; i < at + length; i++) text += String.fromCharCode(this.#bytes[i]!);
      return text;
    }
    const source = this.#bytes.subarray(at, at + length);
    if (form === LATIN1) return this.#readUnits(source); // what the web calls latin1 is another table
    const { bytes } = this.#ownMemory();
    bytes.set(source);
    this.#utf8 ??= new TextDecoder();
    return this.#utf8.decode(bytes.subarray(0, length));
  }

  #writeByLoop(text: string, at: number): number {
    const { length } = text;
    const bytes = this.#bytes;
    let seen = 0;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      bytes[at + i] = unit;
      seen |= unit;
    }
    if (seen < 0x100) return seen < 0x80 ? ASCII : LATIN1;
    const units = this.#units;
    for (let i = 0; i < length; i++) units[(at >> 1) + i] = text.charCodeAt(i);
    this.length = 2 * length;
    return UTF16;
  }

  /** The text of these units, of one byte or two. */
  #readUnits(source: Uint8Array | Uint16Array): string {
    if (source.length > DECODED_BY_LOOP) {
      const units = this.#ownMemory().units.subarray(0, source.length);
      units.set(source);
      this.#utf16 ??= new TextDecoder("utf-16le", { fatal: true, ignoreBOM: true });
      try {
        return this.#utf16.decode(units);
      } catch {
        // Ill-formed: unit for unit.
      }
    }
    let text = "";
    for (let i = 0; i < source.length; i += APPLIED) {
      text += String.fromCharCode.apply(null, source.subarray(i, i + APPLIED) as unknown as number[]);
    }
    return text;
  }

  /** Memory that is not shared, for what refuses shared memory. */
  #ownMemory(): { readonly bytes: Uint8Array; readonly units: Uint16Array } {
    if (this.#scratch === undefined) {
      const memory = new ArrayBuffer(2 * this.#bytes.length);
      this.#scratch = { bytes: new Uint8Array(memory), units: new Uint16Array(memory) };
    }
    return this.#scratch;
  }
}

/** Node's Buffer over the transfer buffer, if it does what Node's does. */
function nodeBuffer(transfer: Uint8Array): NodeBuffer | undefined {
  const { Buffer } = globalThis as {
    Buffer?: { from(memory: ArrayBufferLike, at: number, length: number): NodeBuffer };
  };
  try {
    if (Buffer === undefined) return undefined;
    // Tried on memory of our own: the transfer buffer belongs to operations.
    const bytes = new Uint8Array(new SharedArrayBuffer(16));
    const buffer = Buffer.from(bytes.buffer, 0, bytes.length);
    const test = "a\xe9\ud800";
    const ucs2 = buffer.ucs2Write(test, 0, 6) === 6 && buffer.ucs2Slice(0, 6) === test;
    const latin1 = buffer.latin1Write("a\xe9", 0, 2) === 2 && buffer.latin1Slice(0, 2) === "a\xe9";
    const utf8 = buffer.utf8Write("a\xe9", 0, 8) === 3 && bytes[2] === 0xa9;
    if (!ucs2 || !latin1 || !utf8) return undefined;
    return Buffer.from(transfer.buffer, transfer.byteOffset, transfer.length);
  } catch {
    return undefined;
  }
}
