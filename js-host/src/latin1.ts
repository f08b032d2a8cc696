/** Latin-1 between strings and bytes of an agent: what HTTP's names and values are. */
import { CoheapError } from "./errors.js";

/** Up to here a loop writes a string faster than a call of the platform. */
const SHORT = 16;

/** What is used of Node's `Buffer`: much faster than a loop for long strings. */
export interface Latin1 {
  latin1Write(text: string, offset: number, length: number): number;
  latin1Slice(start: number, end: number): string;
}
interface Latin1Constructor {
  from(buffer: ArrayBufferLike, offset: number, length: number): Latin1;
  prototype: Partial<Latin1>;
}

const { Buffer, process } = globalThis as { Buffer?: Latin1Constructor; process?: { versions?: { node?: unknown } } };
const isNode =
  typeof process?.versions?.node === "string" &&
  typeof Buffer?.prototype.latin1Write === "function" &&
  typeof Buffer.prototype.latin1Slice === "function";

/** The platform's way into these bytes and out of them, where it has one. */
export function latin1Of({ buffer, byteOffset, length }: Uint8Array): Latin1 | undefined {
  return isNode ? Buffer?.from(buffer, byteOffset, length) : undefined;
}

/** Writes a string as Latin-1. COHEAP_INVALID_FIELD for a character that has no byte; what was written then is not used. */
export function writeText(bytes: Uint8Array, latin1: Latin1 | undefined, text: string, at: number): void {
  const { length } = text;
  let seen = 0;
  if (length <= SHORT || latin1 === undefined) {
    for (let i = 0; i < length; i++) {
      const character = text.charCodeAt(i);
      seen |= character;
      bytes[at + i] = character;
    }
  } else {
    for (let i = 0; i < length; i++) seen |= text.charCodeAt(i);
    latin1.latin1Write(text, at, length);
  }
  if (seen > 0xff) throw notABytes(text);
}

function notABytes(text: string): CoheapError {
  let offset = 0;
  while (text.charCodeAt(offset) <= 0xff) offset++;
  return new CoheapError("COHEAP_INVALID_FIELD", { character: text.charCodeAt(offset), offset });
}

/** Decodes Latin-1. (The platform's decoder of that name decodes windows-1252.) */
export function readText(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let done = 0; done < length; done += 4096) {
    const piece = bytes.subarray(at + done, at + Math.min(length, done + 4096));
    text += String.fromCharCode.apply(null, piece as unknown as number[]);
  }
  return text;
}
