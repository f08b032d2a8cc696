/** HTTP fields in the heap: the headers or trailers of a request or response. */
import type { Agent } from "./agent.js";
import { invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { ANSWER, type Crossing, checkText, crossingOf, padded } from "./fields-crossing.js";
import {
  APPEND,
  changeByRegion,
  checkValue,
  collect,
  DELETE,
  type Flat,
  readLines,
  SET,
  writeLines,
} from "./fields-lines.js";
import { readText } from "./latin1.js";
import { blockOfFields } from "./layout.js";
import { type Place, SharedResource } from "./resource.js";
import { LARGEST_SHOWN, type Shown, shown } from "./shown.js";
import { FIELDS } from "./types.js";
import type { Wrappers } from "./wrappers.js";

/** What a line may hold: a string of characters up to U+00FF, or bytes. */
export type FieldValue = string | Uint8Array;

/** Lines to begin with: pairs of a name and a value (an array, a `Headers`, a `Map`, other fields), or an object of them. */
export type FieldsInit = Iterable<readonly [name: string, value: FieldValue]> | Readonly<Record<string, FieldValue>>;

const ABSENT = -1;
const UNCHANGED = -2;
/** The audit's rule that lines break which do not lie in their block. */
const NOT_WELL_FORMED = 70;
/** So many reads of a wrapper are not worth remembering. */
const FEW_READS = 8;
const MOST_REMEMBERED = 64;

/** In the one casing in which names are compared: letters of ASCII alone have two. */
function lowered(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * Makes anonymous fields of these lines: in one crossing, if they fit the transfer buffer and their names were used before.
 * @internal
 */
export function createFields(agent: Agent, wrappers: Wrappers, init: unknown): SharedFields {
  const lines = init === undefined ? [] : collect(init);
  const { calls } = agent;
  const crossing = crossingOf(agent);
  calls.beginTurn(); // the transfer buffer belongs to the operation
  const count = writeLines(crossing, calls, lines);
  calls.make(calls.wasm.coheap_fields_create, count ?? 0, 0, 0, crossing.words);
  if (count !== undefined) return wrapMade(wrappers, crossing.words[0]!, crossing.words[1]!);
  const made = calls.take();
  try {
    changeByRegion(agent, made.index, made.generation, APPEND, lines);
    return wrapMade(wrappers, made.index, made.generation);
  } finally {
    made.used = false;
    calls.settle();
  }
}

/** The wrapper of the fields that wasm has just made for this agent. */
function wrapMade(wrappers: Wrappers, index: number, generation: number): SharedFields {
  return wrappers.wrapNew(FIELDS, index >>> 0, generation >>> 0) as SharedFields;
}

/** What a read answered, and of which state of the fields. */
interface Remembered {
  readonly sequence: number;
  readonly value: string | null;
}

/**
 * HTTP fields in the heap, for every agent: lines of a name and a value, found whatever the casing of the name. Lines keep their order, and
 * a name the casing in which it came first. Values are bytes: a string's characters go up to U+00FF. Names and values are those of HTTP; 128
 * KiB is the most that they may have together, counting 32 for each line.
 *
 * Each call is one step and never blocks; if the caller dies in it, the fields are the old ones or the new ones. `get` and its kin find
 * nothing for what cannot be a name; what changes fields throws COHEAP_INVALID_FIELD for such a name or value, COHEAP_FIELDS_TOO_LARGE, and
 * COHEAP_IMMUTABLE once they are frozen, and has then changed nothing.
 *
 * Every call throws COHEAP_STALE_HANDLE once the fields were destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`.
 */
export class SharedFields extends SharedResource implements Iterable<[string, string]> {
  readonly #index: number;
  readonly #generation: number;
  readonly #crossing: Crossing;
  #reads = 0;
  #remembered: Map<string, Remembered> | undefined;

  /** @internal */
  constructor(place: Place) {
    super(place);
    this.#index = place.index;
    this.#generation = place.generation;
    this.#crossing = crossingOf(place.agent);
  }

  /** The values of a name, joined by ", "; `null` if there is no line of it. */
  get(name: string): string | null {
    const { calls } = this;
    const crossing = this.#crossing;
    calls.beginTurn();
    const number = crossing.names.get(name) ?? this.#look(name);
    if (number === undefined) return this.#join(name);
    const known = this.#remembered?.get(name);
    const sequence = known === undefined ? -1 : known.sequence;
    calls.run(calls.wasm.coheap_fields_get, this.#index, this.#generation, number, sequence);
    const length = crossing.words[1]!;
    if (length === UNCHANGED) return known!.value;
    const begin = ANSWER + (number < 0 ? 0 : padded(number));
    if (begin + length > crossing.bytes.length) return this.#join(name);
    const found = crossing.words[0]! >>> 0;
    const value = length === ABSENT ? null : crossing.text(begin, length);
    if (++this.#reads > FEW_READS) this.#remember(name, found, value);
    return value;
  }

  /** The values of a name, one by one. */
  getAll(name: string): string[] {
    const wanted = lowered(checkText("name", name));
    return this.#lines()
      .filter(([found]) => found.length === wanted.length && lowered(found) === wanted)
      .map(([, value]) => value);
  }

  /** The values of a name, as private copies of their bytes. */
  getBytes(name: string): Uint8Array<ArrayBuffer>[] {
    return this.getAll(name).map((text) => Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }

  /** Whether there is a line of that name. */
  has(name: string): boolean {
    const { calls } = this;
    const crossing = this.#crossing;
    calls.beginTurn();
    const number = crossing.names.get(name) ?? this.#look(name);
    if (number === undefined) return this.getAll(name).length > 0;
    calls.run(calls.wasm.coheap_fields_has, this.#index, this.#generation, number);
    return crossing.words[0] === 1;
  }

  /** Gives a name this value, or these, in place of those it has, where the first of them stands. None at all: as `delete`. */
  set(name: string, value: FieldValue | readonly FieldValue[]): void {
    if (typeof value === "string" || !Array.isArray(value)) {
      this.#put(SET, name, value as FieldValue);
      return;
    }
    const lines: Flat = [];
    for (let i = 0; i < value.length; i++) lines.push(checkText("name", name), checkValue(value[i]));
    if (lines.length === 0) this.delete(name);
    else this.#change(SET, lines);
  }

  /** Adds a line at the end. */
  append(name: string, value: FieldValue): void {
    this.#put(APPEND, name, value);
  }

  /** Removes every line of a name. */
  delete(name: string): void {
    const { calls } = this;
    calls.beginTurn();
    const number = this.#crossing.nameOf(calls, name);
    if (number === undefined) this.#changeByRegion(DELETE, [name, ""]);
    else calls.run(calls.wasm.coheap_fields_delete, this.#index, this.#generation, number);
  }

  /** The lines as they were at one moment, in their order, with the casing of their names. One crossing for up to 28 KiB. */
  entries(): IterableIterator<[string, string]> {
    return this.#lines().values();
  }

  /** The names of the lines, as `entries` has them. */
  keys(): IterableIterator<string> {
    return this.#lines()
      .map(([name]) => name)
      .values();
  }

  /** The values of the lines, as `entries` has them. */
  values(): IterableIterator<string> {
    return this.#lines()
      .map(([, value]) => value)
      .values();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  /** Calls `callback` with each line that there is at this moment. */
  forEach(callback: (value: string, name: string, fields: this) => void, self?: unknown): void {
    if (typeof callback !== "function") throw invalid("callback", "a function", callback);
    for (const [name, value] of this.#lines()) callback.call(self, value, name, this);
  }

  /** New fields of the same lines, without a name, which can be changed whether these are frozen or not. */
  clone(): SharedFields {
    const { words } = this.#crossing;
    const { calls } = this;
    calls.beginTurn(); // what is answered stands in the transfer buffer
    calls.make(calls.wasm.coheap_fields_clone, this.#index, this.#generation, 0, words);
    return wrapMade(this.place.wrappers, words[0]!, words[1]!);
  }

  /** From here on every change, by any agent, throws COHEAP_IMMUTABLE. Answers these fields. */
  freeze(): this {
    const { calls } = this;
    calls.run(calls.wasm.coheap_fields_freeze, this.#index, this.#generation);
    return this;
  }

  /** Whether the fields are frozen. */
  get immutable(): boolean {
    const { calls } = this;
    calls.beginTurn();
    calls.run(calls.wasm.coheap_fields_is_frozen, this.#index, this.#generation);
    return this.#crossing.words[0] === 1;
  }

  /** The lines as pairs of a name and a value, for `JSON.stringify`. What names the fields is their `handle`. */
  override toJSON(): [name: string, value: string][] {
    return this.#lines();
  }

  /** @internal */
  override plain(): unknown {
    return this.#lines();
  }

  /** @internal */
  override get [shown](): Shown {
    const lines = this.#lines();
    return { size: lines.length, contents: () => lines.slice(0, LARGEST_SHOWN) };
  }

  /** A `Headers` of the same lines. It sorts and lower-cases the names, and strips white space around values. */
  toHeaders(): Headers {
    return new Headers(this.#lines());
  }

  #put(how: number, name: string, given: FieldValue): void {
    const value = typeof given === "string" ? given : checkValue(given);
    const { calls } = this;
    const crossing = this.#crossing;
    calls.beginTurn(); // the transfer buffer belongs to the operation
    const number = crossing.nameOf(calls, name);
    const at = number === undefined || number < 0 ? 0 : padded(number);
    const { length } = value;
    if (number === undefined || at + length > crossing.bytes.length) {
      this.#changeByRegion(how, [name, value]);
      return;
    }
    crossing.write(value, at);
    const { coheap_fields_set, coheap_fields_append } = calls.wasm;
    let status: number;
    calls.enter();
    try {
      // Each at a place of its own, which engines make faster.
      if (how === SET) status = coheap_fields_set(this.#index, this.#generation, number, length);
      else status = coheap_fields_append(this.#index, this.#generation, number, length);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (status !== 0) throw calls.failure(status);
  }

  #change(how: number, lines: Flat): void {
    const { calls } = this;
    calls.beginTurn();
    const count = writeLines(this.#crossing, calls, lines);
    if (count === undefined) this.#changeByRegion(how, lines);
    else calls.run(calls.wasm.coheap_fields_change, this.#index, this.#generation, how, count);
  }

  #changeByRegion(how: number, lines: Flat): void {
    changeByRegion(this.place.agent, this.#index, this.#generation, how, lines);
  }

  /** The number of a name that is looked for; `undefined` for what is no name, or too long for the transfer buffer. */
  #look(name: unknown): number | undefined {
    const text = checkText("name", name);
    for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return undefined;
    return this.#crossing.name(this.calls, text);
  }

  /** The joined values where they do not fit the transfer buffer. */
  #join(name: string): string | null {
    const values = this.getAll(name);
    return values.length === 0 ? null : values.join(", ");
  }

  #remember(name: string, sequence: number, value: string | null): void {
    this.#remembered ??= new Map();
    if (this.#remembered.size >= MOST_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(name, { sequence, value });
  }

  /** All lines, of one moment. */
  #lines(): [string, string][] {
    const { calls } = this;
    const crossing = this.#crossing;
    calls.beginTurn();
    calls.run(calls.wasm.coheap_fields_lines, this.#index, this.#generation, 0);
    const size = crossing.words[0]! >>> 0;
    const lines =
      size <= crossing.bytes.length - ANSWER
        ? readLines(crossing.words, ANSWER, size, (at, length) => crossing.text(at, length))
        : this.#linesOfCopy();
    if (lines !== undefined) return lines;
    const { token, views } = this.place.agent;
    const address = blockOfFields(views, token.control, this.#index);
    throw new CoheapError("COHEAP_CORRUPT", { rule: NOT_WELL_FORMED, address });
  }

  /** As `readLines`, of what is too large for one crossing: a copy of our own does not change between two. */
  #linesOfCopy(): [string, string][] | undefined {
    const { calls } = this;
    calls.make(calls.wasm.coheap_fields_clone, this.#index, this.#generation, 0, this.#crossing.words);
    const copy = calls.take();
    try {
      return this.#linesInPieces(copy.index, copy.generation);
    } finally {
      copy.used = false;
      calls.settle();
    }
  }

  #linesInPieces(index: number, generation: number): [string, string][] | undefined {
    const { calls } = this;
    const crossing = this.#crossing;
    let bytes = new Uint8Array(0);
    let size = Infinity;
    for (let at = 0; at < size; at += crossing.bytes.length - ANSWER) {
      calls.run(calls.wasm.coheap_fields_lines, index, generation, at);
      if (at === 0) {
        size = crossing.words[0]! >>> 0;
        bytes = new Uint8Array(size);
      }
      bytes.set(crossing.bytes.subarray(ANSWER, ANSWER + Math.min(size - at, crossing.bytes.length - ANSWER)), at);
    }
    return readLines(new Int32Array(bytes.buffer), 0, size, (at, length) => readText(bytes, at, length));
  }
}
