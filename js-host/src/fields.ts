/** HTTP fields in the heap: the headers or trailers of a request or response. */
import type { Agent } from "./agent.js";
import type { Calls } from "./calls.js";
import { checkBytes, invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { blockOfFields } from "./layout.js";
import { type Place, SharedResource } from "./resource.js";
import { LARGEST_SHOWN, type Shown, shown } from "./shown.js";
import { BYTES, FIELDS } from "./types.js";
import { checkWithin } from "./views.js";
import type { Wrappers } from "./wrappers.js";

/** What a line may hold: a string of characters up to U+00FF, or bytes. */
export type FieldValue = string | Uint8Array;

/** Lines to begin with: pairs of a name and a value (an array, a `Headers`, a `Map`, other fields), or an object of them. */
export type FieldsInit = Iterable<readonly [name: string, value: FieldValue]> | Readonly<Record<string, FieldValue>>;

/** What fields may hold, names and values and 32 for each line; wasm says so too. */
const LARGEST = 128 * 1024;
const OVERHEAD = 32;
/** Up to here a loop writes a string faster than a call of the platform. */
const SHORT = 16;
/** Texts up to this length are decoded all at once: a part of them keeps the whole alive. */
const TOGETHER = 2048;
/** Bytes of an answer's numbers, and of the head of a block of lines. */
const ANSWER = 16;
const HEAD = 16;
const ABSENT = -1;
const UNCHANGED = -2;
/** The audit's rule that lines break which do not lie in their block. */
const NOT_WELL_FORMED = 70;
/** How lines change fields. */
const SET = 0;
const APPEND = 1;
const DELETE = 4;
const FROM_REGION = 2;
/** So many reads of a wrapper are not worth remembering. */
const FEW_READS = 8;
const MOST_REMEMBERED = 64;

/** What is used of Node's `Buffer`: much faster than a loop for long strings. */
interface Latin1 {
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

const padded = (length: number): number => (length + 7) & ~7;

/** Writes a string as Latin-1. COHEAP_INVALID_FIELD for a character that has no byte; what was written then is not used. */
function writeText(bytes: Uint8Array, latin1: Latin1 | undefined, text: string, at: number): void {
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

/** One agent's way in and out: its transfer buffer, and the names that stand in its memory already. */
class Crossing {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly latin1: Latin1 | undefined;
  readonly names = new Map<string, number>();

  constructor({ transfer }: Agent) {
    const { buffer, byteOffset, length } = transfer;
    this.bytes = transfer;
    this.words = new Int32Array(buffer, byteOffset, length >>> 2);
    this.latin1 = isNode ? Buffer?.from(buffer, byteOffset, length) : undefined;
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
    this.names.set(name as string, number);
    return number;
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

/** In the one casing in which names are compared: letters of ASCII alone have two. */
function lowered(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Decodes Latin-1. (The platform's decoder of that name decodes windows-1252.) */
function readText(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let done = 0; done < length; done += 4096) {
    const piece = bytes.subarray(at + done, at + Math.min(length, done + 4096));
    text += String.fromCharCode.apply(null, piece as unknown as number[]);
  }
  return text;
}

const crossings = new WeakMap<Agent, Crossing>();

function crossingOf(agent: Agent): Crossing {
  let crossing = crossings.get(agent);
  if (crossing === undefined) {
    crossing = new Crossing(agent);
    crossings.set(agent, crossing);
  }
  return crossing;
}

function checkText(argument: string, value: unknown): string {
  if (typeof value !== "string") throw invalid(argument, "a string", value);
  return value;
}

/** A value that runs nobody's code when it is read: a string, or a plain view of bytes. */
function checkValue(value: unknown): FieldValue {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) throw invalid("value", "a string or a Uint8Array", value);
  return checkBytes("value", value);
}

/** Names and values in turn, all checked: from here on no code of the user runs. */
type Flat = (string | FieldValue)[];

function collect(init: unknown): Flat {
  if (typeof init !== "object" || init === null) throw invalid("init", "pairs of a name and a value", init);
  const flat: Flat = [];
  if (Array.isArray(init)) for (let i = 0; i < init.length; i++) addPair(flat, init[i]);
  else if (Symbol.iterator in init) for (const pair of init as Iterable<unknown>) addPair(flat, pair);
  else for (const pair of Object.entries(init)) addPair(flat, pair);
  return flat;
}

function addPair(flat: Flat, pair: unknown): void {
  if (!Array.isArray(pair) || pair.length !== 2) throw invalid("init", "pairs of a name and a value", pair);
  flat.push(checkText("name", pair[0]), checkValue(pair[1]));
}

/** Where a record's parts go in the transfer buffer, or in memory of one's own. */
interface Target {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  write(value: FieldValue, at: number): void;
}

/** Writes one record and answers where the next one begins. */
function writeRecord(target: Target, at: number, number: number, name: string, value: FieldValue): number {
  const { words } = target;
  words[at >>> 2] = number;
  words[(at >>> 2) + 1] = value.length;
  let next = at + 8;
  if (number > 0) {
    target.write(name, next);
    next += padded(number);
  }
  target.write(value, next);
  return next + padded(value.length);
}

/** Puts lines into the transfer buffer. Answers how many, or `undefined` when they do not fit. */
function writeLines(crossing: Crossing, calls: Calls, lines: Flat): number | undefined {
  const { names, bytes, words, latin1 } = crossing;
  const limit = bytes.length;
  let at = 0;
  for (let i = 0; i < lines.length; i += 2) {
    const number = names.get(lines[i] as string);
    if (number === undefined) return writeNewLines(crossing, calls, lines);
    const value = lines[i + 1]!;
    const begin = at + 8;
    if (begin + value.length > limit) return undefined;
    words[at >>> 2] = number;
    words[(at >>> 2) + 1] = value.length;
    if (typeof value === "string") writeText(bytes, latin1, value, begin);
    else bytes.set(value, begin);
    at = begin + padded(value.length);
  }
  return lines.length >>> 1;
}

/** As `writeLines`, where names are new. */
function writeNewLines(crossing: Crossing, calls: Calls, lines: Flat): number | undefined {
  const { names } = crossing;
  const limit = crossing.bytes.length;
  // First the names, because a new one crosses through the same buffer.
  for (let i = 0; i < lines.length; i += 2) if (!names.has(lines[i] as string)) crossing.name(calls, lines[i]);
  let at = 0;
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string;
    const value = lines[i + 1]!;
    const number = names.get(name) ?? name.length;
    if (at + 8 + padded(Math.max(number, 0)) + padded(value.length) > limit) return undefined;
    at = writeRecord(crossing, at, number, name, value);
  }
  return lines.length >>> 1;
}

/** Changes fields by lines that do not fit the transfer buffer: they go into a region of bytes first. */
function changeByRegion(agent: Agent, index: number, generation: number, how: number, lines: Flat): void {
  const { calls } = agent;
  const crossing = crossingOf(agent);
  let size = 0;
  let counted = 0;
  for (let i = 0; i < lines.length; i += 2) {
    const [name, value] = [lines[i]!.length, lines[i + 1]!.length];
    size += 8 + padded(name) + padded(value);
    counted += name + value + OVERHEAD;
  }
  if (counted > LARGEST) throw new CoheapError("COHEAP_FIELDS_TOO_LARGE", { size: counted, maximum: LARGEST });
  const bytes = new Uint8Array(size);
  const target: Target = {
    bytes,
    words: new Int32Array(bytes.buffer),
    write: (value, at) => {
      if (typeof value === "string") writeText(bytes, undefined, value, at);
      else bytes.set(value, at);
    },
  };
  let end = 0;
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string;
    // An empty name is no name: wasm says so.
    end = writeRecord(target, end, name.length, name, lines[i + 1]!);
  }
  calls.beginTurn();
  calls.make(calls.wasm.coheap_open, BYTES, 0, size);
  const region = calls.take();
  try {
    for (let at = 0; at < size; at += crossing.bytes.length) {
      const piece = bytes.subarray(at, at + crossing.bytes.length);
      crossing.bytes.set(piece);
      calls.run(calls.wasm.coheap_bytes_write, region.index, region.generation, at, piece.length);
    }
    crossing.words[0] = region.index;
    crossing.words[1] = region.generation;
    calls.run(calls.wasm.coheap_fields_change, index, generation, how + FROM_REGION, lines.length / 2);
  } finally {
    region.used = false;
    calls.settle();
  }
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
    const number = this.#crossing.names.get(name) ?? this.#crossing.name(calls, name);
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
    const number = crossing.names.get(name) ?? crossing.name(calls, name);
    const at = number === undefined || number < 0 ? 0 : padded(number);
    const { length } = value;
    if (number === undefined || at + length > crossing.bytes.length) {
      this.#changeByRegion(how, [name, value]);
      return;
    }
    crossing.write(value, at);
    const { coheap_fields_set, coheap_fields_append } = calls.wasm;
    calls.run(how === SET ? coheap_fields_set : coheap_fields_append, this.#index, this.#generation, number, length);
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

/** The lines of a copied block of `size` bytes, which begins at the byte `at`; `undefined` when they do not lie in it. */
function readLines(
  words: Int32Array,
  at: number,
  size: number,
  text: (at: number, length: number) => string,
): [string, string][] | undefined {
  const first = (at + HEAD) >>> 2;
  const count = words[at >>> 2]!;
  const length = words[(at >>> 2) + 1]!;
  if (count < 0 || length < 0 || HEAD + 8 * count + length !== size) return undefined;
  const begin = at + HEAD + 8 * count;
  const all = length <= TOGETHER ? text(begin, length) : undefined;
  const lines: [string, string][] = [];
  for (let i = 0; i < count; i++) {
    const low = words[first + 2 * i]!;
    const high = words[first + 2 * i + 1]!;
    const nameLength = (low >>> 18) | ((high & 15) << 14);
    const valueLength = low & 0x3ffff;
    const from = (high >>> 12) * 8;
    const middle = from + padded(nameLength);
    if (middle + padded(valueLength) > length) return undefined;
    lines.push(
      all === undefined
        ? [text(begin + from, nameLength), text(begin + middle, valueLength)]
        : [all.slice(from, from + nameLength), all.slice(middle, middle + valueLength)],
    );
  }
  return lines;
}
