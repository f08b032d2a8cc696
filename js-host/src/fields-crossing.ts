/** One agent's way to fields: its transfer buffer, and the names that cross as numbers. */
import type { Agent } from "./agent.js";
import type { Calls } from "./calls.js";
import { invalid } from "./check.js";
import type { FieldValue } from "./fields.js";
import { type Latin1, latin1Of, readText, writeText } from "./latin1.js";
import { checkWithin } from "./views.js";

/** Bytes of an answer's numbers. */
export const ANSWER = 16;

export const padded = (length: number): number => (length + 7) & ~7;

export function checkText(argument: string, value: unknown): string {
  if (typeof value !== "string") throw invalid(argument, "a string", value);
  return value;
}

/** One agent's way in and out: its transfer buffer, and the names that stand in its memory already. */
export class Crossing {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly latin1: Latin1 | undefined;
  readonly names = new Map<string, number>();
  /** The name that was changed last, which mostly is changed next; no string: there is none. */
  #last: unknown = this;
  #lastNumber = 0;

  constructor({ transfer }: Agent) {
    const { buffer, byteOffset, length } = transfer;
    this.bytes = transfer;
    this.words = new Int32Array(buffer, byteOffset, length >>> 2);
    this.latin1 = latin1Of(transfer);
  }

  /**
   * The number of a name that is not among `names`: it is put there, or stands at the beginning of the transfer buffer. `undefined` for
   * what does not fit there. Names that cannot be ones pass: wasm says so, or finds nothing.
   */
  name(calls: Calls, name: unknown): number | undefined {
    const length = checkText("name", name).length;
    if (length > this.bytes.length - ANSWER) return undefined;
    writeText(this.bytes, this.latin1, name as string, 0);
    if (calls.status(calls.wasm.coheap_fields_name, length) !== 0) return length;
    if (this.words[1] === 1) this.names.clear(); // the list was full and has begun anew
    const number = this.words[0]!;
    this.#last = this;
    this.names.set(name as string, number);
    return number;
  }

  /** The number of a name that is to be changed, as `name` answers it. */
  nameOf(calls: Calls, name: string): number | undefined {
    if (name === this.#last) return this.#lastNumber;
    const known = this.names.get(name);
    if (known === undefined) return this.name(calls, name);
    this.#last = name;
    this.#lastNumber = known;
    return known;
  }

  write(value: FieldValue, at: number): void {
    if (typeof value === "string") writeText(this.bytes, this.latin1, value, at);
    else this.bytes.set(value, at);
  }

  text(at: number, length: number): string {
    if (length === 0) return "";
    checkWithin(this.bytes, at, length);
    return this.latin1 === undefined ? readText(this.bytes, at, length) : this.latin1.latin1Slice(at, at + length);
  }
}

const crossings = new WeakMap<Agent, Crossing>();

export function crossingOf(agent: Agent): Crossing {
  let crossing = crossings.get(agent);
  if (crossing === undefined) {
    crossing = new Crossing(agent);
    crossings.set(agent, crossing);
  }
  return crossing;
}
