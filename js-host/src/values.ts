/** Values on their way into the heap and out of it: a kind and a number, and contents in the transfer buffer. */
import type { Agent } from "./agent.js";
import { Atoms, LONGEST_ATOM } from "./atoms.js";
import type { Calls } from "./calls.js";
import { invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { SharedResource } from "./resource.js";
import { ROOM, type Staged, Staging } from "./staging.js";
import { BYTES, NATURAL, NEGATIVE, REFERENCE, Text, UTF16 } from "./strings.js";
import { align, bytesOf, contents, integerOf, isWord, type Key, type Scalar, type Value } from "./value.js";
import { BEYOND_THE_MEMORY } from "./views.js";
import type { Wrappers } from "./wrappers.js";

/** Kinds, as the C ABI numbers them: those with contents are these plus their form. */
const NUMBER = 0;
const CONSTANT = 1;
const SHORT = 2;
const ATOM = 3;
const INLINE = 8;
const LONG = 16;
const COPIED = 24;
/** What stands for a value where there may be none. */
export const ABSENT = 4;
/** Bytes of a record before its contents: u32 kind, u32 of its own, f64 number. */
export const RECORD = 16;
/** An answer is kind · 2⁴⁴ + number. */
const KINDS = 2 ** 44;

const CONSTANTS = [undefined, null, false, true] as const;
/** Units below 256 that a word holds, and what each place counts. */
const SHORTEST = 5;
const PLACES = [1, 2 ** 8, 2 ** 16, 2 ** 24, 2 ** 32] as const;
const LENGTH_PLACE = 2 ** 40;

/** Bytes that all records of one crossing take at most. */
export const CROSSING = 24 * 1024;
/** Reads in pieces that were overtaken by a writer, until the contents are copied in one step. */
const ATTEMPTS = 8;

/** The values of one agent. @internal */
export class Values {
  /** Kind and number of the value that was encoded last, and where the next one may begin in the transfer buffer. */
  kind = 0;
  number = 0;
  end = 0;

  readonly atoms: Atoms;
  readonly text: Text;
  readonly staging: Staging;
  readonly #agent: Agent;
  readonly #transfer: Uint8Array;
  readonly #words: BigUint64Array;
  readonly #halves: Uint32Array;
  readonly #numbers: Float64Array;

  constructor(agent: Agent) {
    const { transfer } = agent;
    this.#agent = agent;
    this.#transfer = transfer;
    this.#words = new BigUint64Array(transfer.buffer, transfer.byteOffset, transfer.length >> 3);
    this.#halves = new Uint32Array(transfer.buffer, transfer.byteOffset, transfer.length >> 2);
    this.#numbers = new Float64Array(transfer.buffer, transfer.byteOffset, transfer.length >> 3);
    this.text = new Text(transfer);
    this.atoms = new Atoms(agent, this.text);
    this.staging = new Staging(transfer, this.text);
  }

  /** Puts contents of more than `room` bytes, which are too long for the transfer buffer, into a region. Before any other value is encoded. */
  stage(value: unknown, calls: Calls, room: number = ROOM): Staged | undefined {
    if (typeof value === "string") {
      // What the atoms need of the transfer buffer they need now.
      if (value.length <= LONGEST_ATOM) this.atoms.prepare(calls);
      return 2 * value.length <= room ? undefined : this.staging.text(value, calls);
    }
    if (typeof value === "bigint") {
      if (isWord(value)) return undefined;
      const bytes = bytesOf(value);
      return bytes.length <= room ? undefined : this.staging.bytes(value < 0n ? NEGATIVE : NATURAL, bytes, calls);
    }
    if (typeof value !== "object" || value === null) return undefined;
    const bytes = contents(value);
    return bytes.length <= room ? undefined : this.staging.bytes(BYTES, bytes, calls);
  }

  /** As `stage`, for a value of a structure. */
  stageValue(value: unknown, calls: Calls, room: number = ROOM): Staged | undefined {
    return value instanceof SharedResource ? undefined : this.stage(value, calls, room);
  }

  /** As `stage`, for a key: COHEAP_INVALID_ARGUMENT for what is none. */
  stageKey(key: unknown, calls: Calls): Staged | undefined {
    if (typeof key === "string") return 2 * key.length <= ROOM ? undefined : this.staging.text(key, calls);
    if (typeof key !== "number") throw invalid("key", "a string or a number", key);
    return undefined;
  }

  /** Gives the region back: after the call that needed it, or its failure. If that fails at the end of the stack, it goes back with the turn. */
  unstage(staged: Staged | undefined, calls: Calls): void {
    if (staged === undefined) return;
    staged.loan.used = false;
    calls.settle();
  }

  /** Sets kind, number and end of `value`, whose contents go to `at` (a multiple of 8). COHEAP_UNSUPPORTED_VALUE for what no word has. */
  encode(value: unknown, at: number, staged: Staged | undefined, calls: Calls): void {
    this.end = at;
    if (staged !== undefined) {
      this.#encodeStaged(staged, at, calls);
      return;
    }
    switch (typeof value) {
      case "number":
        this.#is(NUMBER, value);
        return;
      case "string":
        this.#encodeText(value, at, calls);
        return;
      case "undefined":
        this.#is(CONSTANT, 0);
        return;
      case "boolean":
        this.#is(CONSTANT, value ? 3 : 2);
        return;
      case "bigint":
        this.#encodeInteger(value, at, calls);
        return;
      default:
        if (value === null) this.#is(CONSTANT, 1);
        else this.#put(BYTES, contents(value), at, calls);
    }
  }

  /** Sets kind and number of a value that a word holds; whether it is one. A string that comes again and again becomes an atom. */
  encodeWord(value: unknown, calls: Calls): boolean {
    switch (typeof value) {
      case "number":
        this.#is(NUMBER, value);
        return true;
      case "string": {
        if (this.#encodeShort(value)) return true;
        const atom = value.length <= LONGEST_ATOM ? this.atoms.often(value, calls) : undefined;
        if (atom !== undefined) this.#is(ATOM, atom);
        return atom !== undefined;
      }
      case "undefined":
        this.#is(CONSTANT, 0);
        return true;
      case "boolean":
        this.#is(CONSTANT, value ? 3 : 2);
        return true;
      default:
        if (value === null) this.#is(CONSTANT, 1);
        return value === null;
    }
  }

  /** As `encode`, for a value of a structure: COHEAP_FOREIGN_HANDLE for one of another heap, COHEAP_DISPOSED. */
  encodeValue(value: unknown, at: number, staged: Staged | undefined, calls: Calls): void {
    if (!(value instanceof SharedResource)) {
      this.encode(value, at, staged, calls);
      return;
    }
    const { index, generation } = value.placeFor(this.#agent);
    calls.beginTurn();
    this.#halves[at >> 2] = index;
    this.#halves[(at >> 2) + 1] = generation;
    this.#is(INLINE + REFERENCE, 8);
    this.end = at + 8;
  }

  /** As `encode`, for a key that `stageKey` has let pass; its contents go to the beginning of the transfer buffer. */
  encodeKey(key: Key, staged: Staged | undefined, calls: Calls): void {
    this.end = 0;
    if (staged !== undefined) this.#encodeStaged(staged, 0, calls);
    else if (typeof key === "number") this.#is(NUMBER, key);
    else if (!this.#encodeShort(key)) this.#encodeUnits(key, 0, calls);
  }

  /** What the next `writeKey` or `writeValue` calls need of the transfer buffer, they need before. The turn has begun after it. */
  beginRecords(calls: Calls): void {
    this.atoms.prepare(calls);
    calls.beginTurn();
  }

  /** Writes the record of a key that is short enough, or staged, at `at`, and answers its end. */
  writeKey(key: Key, at: number, calls: Calls, staged?: Staged): number {
    this.end = at + RECORD;
    if (staged !== undefined) this.#encodeStaged(staged, at + RECORD, calls);
    else if (typeof key === "number") this.#is(NUMBER, key);
    else if (!this.#encodeShort(key)) this.#encodeUnits(key, at + RECORD, calls);
    return this.#head(at);
  }

  /** Writes the record of a value that is short enough, or staged, at `at`, and answers its end. */
  writeValue(value: Value, at: number, calls: Calls, staged?: Staged): number {
    this.encodeValue(value, at + RECORD, staged, calls);
    return this.#head(at);
  }

  #head(at: number): number {
    this.#halves[at >> 2] = this.kind;
    this.#numbers[(at >> 3) + 1] = this.number;
    return this.end;
  }

  /** The f64 at `at` of the transfer buffer. */
  numberAt(at: number): number {
    return this.#numbers[at >> 3]!;
  }

  /** What did not fit into `room` bytes, as many as were asked for, needs more by now, or is gone; else nothing that stands here is an answer. */
  checkGrown(room: number): void {
    const needed = this.numberAt(8);
    const address = this.#transfer.byteOffset;
    if (needed > 0 && needed <= room) throw new CoheapError("COHEAP_CORRUPT", { rule: BEYOND_THE_MEMORY, address });
  }

  /** The u32 at `at` of the transfer buffer. */
  halfAt(at: number): number {
    return this.#halves[at >> 2]!;
  }

  /** Whether the record at `at` is of a structure. */
  isReferenceAt(at: number): boolean {
    return this.halfAt(at) === INLINE + REFERENCE;
  }

  /** Whether the record at `at` says that its contents are elsewhere. */
  isLongAt(at: number): boolean {
    const kind = this.halfAt(at);
    return LONG <= kind && kind < COPIED;
  }

  /**
   * The value of the record at `at`; undefined where there is none. A copy of long contents is read and given back. COHEAP_STALE_HANDLE for
   * a structure that has ended since: the entry that had it has another value.
   */
  valueAt(at: number, calls: Calls, wrappers: Wrappers): Value {
    const kind = this.halfAt(at);
    const number = this.numberAt(at + 8);
    if (kind === NUMBER) return number;
    if (kind === ABSENT) return undefined;
    if (kind < INLINE) return this.#plain(kind, number, calls);
    const form = kind & 7;
    if (kind === INLINE + REFERENCE) return wrappers.open(this.halfAt(at + RECORD), this.halfAt(at + RECORD + 4));
    if (kind < LONG) return this.#whole(form, at + RECORD, number);
    const copy = calls.loans.add(this.halfAt(at + RECORD), this.halfAt(at + RECORD + 4), true);
    try {
      return this.contentsOf(copy, 0, form, number, calls);
    } finally {
      copy.used = false;
      calls.settle();
    }
  }

  /** Values of `count` records from `at` on. `each` is told where each one begins. Throws what `valueAt` throws. */
  valuesAt(at: number, count: number, calls: Calls, wrappers: Wrappers, each?: (at: number) => void): Value[] {
    const values: Value[] = [];
    let later: number[] | undefined;
    let next = at;
    for (let i = 0; i < count; i++) {
      const kind = this.halfAt(next);
      each?.(next);
      if (kind === ATOM) {
        // To learn one takes the transfer buffer: afterwards.
        later ??= [];
        later.push(i, this.numberAt(next + 8), -1);
        values.push(undefined);
      } else if (kind === INLINE + REFERENCE) {
        // To open one is a call, too.
        later ??= [];
        later.push(i, this.halfAt(next + RECORD), this.halfAt(next + RECORD + 4));
        values.push(undefined);
      } else {
        values.push(kind >= LONG ? undefined : this.valueAt(next, calls, wrappers));
      }
      next += RECORD + (INLINE <= kind && kind < LONG ? align(this.numberAt(next + 8)) : 0);
    }
    for (let i = 0; later !== undefined && i < later.length; i += 3) {
      const [number, generation] = [later[i + 1]!, later[i + 2]!];
      values[later[i]!] = generation < 0 ? this.atoms.text(number, calls) : wrappers.open(number, generation);
    }
    return values;
  }

  /** Contents of `length` bytes that stand in a region of this agent's from `from` on. */
  contentsOf(
    region: { readonly index: number; readonly generation: number },
    from: number,
    form: number,
    length: number,
    calls: Calls,
  ): Scalar {
    const parts = this.#pieces(form, length, (at, size) => {
      calls.run(calls.wasm.coheap_bytes_read, region.index, region.generation, from + at, size);
      return true;
    });
    return this.#join(form, parts!, length);
  }

  /** The value of a record whose head and contents stand in a region at `from`, and where the next one begins. */
  valueOf(
    region: { readonly index: number; readonly generation: number },
    from: number,
    calls: Calls,
    wrappers: Wrappers,
  ): readonly [value: Value, end: number] {
    calls.beginTurn();
    calls.run(calls.wasm.coheap_bytes_read, region.index, region.generation, from, RECORD);
    const kind = this.halfAt(0);
    if (kind < INLINE) return [this.valueAt(0, calls, wrappers), from + RECORD];
    const length = this.numberAt(8);
    if (kind === INLINE + REFERENCE) {
      calls.run(calls.wasm.coheap_bytes_read, region.index, region.generation, from + RECORD, length);
      return [wrappers.open(this.halfAt(0), this.halfAt(4)), from + RECORD + length];
    }
    return [this.contentsOf(region, from + RECORD, kind & 7, length, calls), from + RECORD + align(length)];
  }

  /** The value of an answer that has all of it: itself, or what stands in the transfer buffer. */
  answered(answer: number, calls: Calls): Scalar {
    const kind = Math.floor(answer / KINDS);
    const number = answer - kind * KINDS;
    return kind < INLINE ? this.#plain(kind, number, calls) : this.#whole(kind & 7, 0, number);
  }

  /** The value that `coheap_cell_take` answers of the cell at this index. */
  take(index: number, generation: number, calls: Calls): Scalar {
    const { wasm } = calls;
    for (let attempt = 0; ; attempt++) {
      calls.beginTurn(); // what is answered stands in the transfer buffer
      const call = attempt < ATTEMPTS ? wasm.coheap_cell_take : wasm.coheap_cell_snapshot;
      const answer = calls.makeAbove(COPIED * KINDS, call, index, generation);
      if (answer < 0) throw calls.failure(-answer);
      const kind = Math.floor(answer / KINDS);
      const number = answer - kind * KINDS;
      if (kind < LONG) return this.answered(answer, calls);
      const form = kind & 7;
      if (kind >= COPIED) {
        const copy = calls.take();
        try {
          return this.contentsOf(copy, 0, form, number, calls);
        } finally {
          copy.used = false;
          calls.settle();
        }
      }
      const parts = this.#pieces(form, number, (at, length) => {
        calls.run(wasm.coheap_cell_piece, index, generation, at, length);
        return calls.detail(0) === 1;
      });
      if (parts !== undefined) return this.#join(form, parts, number);
    }
  }

  #is(kind: number, number: number): void {
    this.kind = kind;
    this.number = number;
  }

  #encodeStaged(staged: Staged, at: number, calls: Calls): void {
    calls.beginTurn(); // the transfer buffer belongs to the operation
    this.#halves[at >> 2] = staged.loan.index;
    this.#halves[(at >> 2) + 1] = staged.loan.generation;
    this.#is(LONG + staged.form, staged.length);
    this.end = at + 8;
  }

  #encodeText(text: string, at: number, calls: Calls): void {
    const { length } = text;
    if (length <= SHORTEST) {
      if (this.#encodeShort(text)) return;
    } else if (length <= LONGEST_ATOM) {
      const atom = this.atoms.known(text);
      if (atom !== undefined) {
        this.#is(ATOM, atom);
        return;
      }
    }
    this.#encodeUnits(text, at, calls);
  }

  /** Whether a word holds the text, which is encoded then. */
  #encodeShort(text: string): boolean {
    const { length } = text;
    if (length > SHORTEST) return false;
    let number = length * LENGTH_PLACE;
    let seen = 0;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      seen |= unit;
      number += unit * PLACES[i]!;
    }
    if (seen >= 0x100) return false;
    this.#is(SHORT, number);
    return true;
  }

  #encodeUnits(text: string, at: number, calls: Calls): void {
    calls.beginTurn();
    this.#is(INLINE + this.text.write(text, at), this.text.length);
    this.end = align(at + this.text.length);
  }

  #encodeInteger(value: bigint, at: number, calls: Calls): void {
    const form = value < 0n ? NEGATIVE : NATURAL;
    if (!isWord(value)) {
      this.#put(form, bytesOf(value), at, calls);
      return;
    }
    calls.beginTurn();
    this.#words[at >> 3] = value < 0n ? -value : value;
    const length = value === 0n ? 0 : 8;
    this.#is(INLINE + form, length);
    this.end = at + length;
  }

  #put(form: number, bytes: Uint8Array, at: number, calls: Calls): void {
    calls.beginTurn();
    this.#transfer.set(bytes, at);
    this.#is(INLINE + form, bytes.length);
    this.end = align(at + bytes.length);
  }

  #plain(kind: number, number: number, calls: Calls): Scalar {
    switch (kind) {
      case NUMBER:
        return calls.detail(0);
      case CONSTANT:
        return CONSTANTS[number];
      case SHORT: {
        let length = Math.floor(number / LENGTH_PLACE);
        const high = Math.floor(number / PLACES[4]) & 0xff;
        let low = number >>> 0;
        let text = "";
        for (; length > 0; length--, low >>>= 8) {
          text += String.fromCharCode(text.length === SHORTEST - 1 ? high : low & 0xff);
        }
        return text;
      }
      default:
        return this.atoms.text(number, calls);
    }
  }

  /** The value whose contents the transfer buffer holds at `at`. */
  #whole(form: number, at: number, length: number): Scalar {
    if (form <= UTF16) return this.text.read(form, at, length);
    if (form === BYTES) return this.#transfer.slice(at, at + length);
    if (length > 8) return integerOf(this.#transfer.slice(at, at + length), form === NEGATIVE);
    const magnitude = length === 0 ? 0n : this.#words[at >> 3]!;
    return form === NEGATIVE ? -magnitude : magnitude;
  }

  /** What the transfer buffer holds of contents. */
  #part(form: number, length: number): string | Uint8Array {
    return form <= UTF16 ? this.text.read(form, 0, length) : this.#transfer.slice(0, length);
  }

  /** All contents, as `step` brings them into the transfer buffer; undefined when it says that they have changed. */
  #pieces(
    form: number,
    length: number,
    step: (at: number, length: number) => boolean,
  ): (string | Uint8Array)[] | undefined {
    const parts: (string | Uint8Array)[] = [];
    for (let at = 0; at < length; at += this.#transfer.length) {
      const size = Math.min(length - at, this.#transfer.length);
      if (!step(at, size)) return undefined;
      parts.push(this.#part(form, size));
    }
    return parts;
  }

  #join(form: number, parts: readonly (string | Uint8Array)[], length: number): Scalar {
    if (form <= UTF16) return parts.join("");
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts as readonly Uint8Array[]) {
      bytes.set(part, at);
      at += part.length;
    }
    return form === BYTES ? bytes : integerOf(bytes, form === NEGATIVE);
  }
}

const every = new WeakMap<Agent, Values>();

/** What `coheap_map_take` says of the value of this kind and number, which a word holds: the word, and that there is no block. */
export function wordOf(kind: number, number: number): [low: number, middle: number, high: number] {
  // 13 ones, the tag, 48 bits.
  return [number | 0, (0xfff80000 + ((kind - CONSTANT) << 16) + Math.floor(number / 2 ** 32)) | 0, -1];
}

/** The values of an agent: one for all its wrappers. @internal */
export function valuesOf(agent: Agent): Values {
  let values = every.get(agent);
  if (values === undefined) {
    values = new Values(agent);
    every.set(agent, values);
  }
  return values;
}
