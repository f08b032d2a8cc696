/** Lines of fields: as they are given, as records on their way in, and as a block of them that came out. */
import type { Agent } from "./agent.js";
import type { Calls } from "./calls.js";
import { checkBytes, invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import type { FieldValue } from "./fields.js";
import { type Crossing, checkText, crossingOf, padded } from "./fields-crossing.js";
import { writeText } from "./latin1.js";
import { BYTES } from "./types.js";

/** What fields may hold, names and values and 32 for each line; wasm says so too. */
const LARGEST = 128 * 1024;
const OVERHEAD = 32;
/** Texts up to this length are decoded all at once: a part of them keeps the whole alive. */
const TOGETHER = 2048;
/** Bytes of the head of a block of lines. */
const HEAD = 16;
/** How lines change fields. */
export const SET = 0;
export const APPEND = 1;
export const DELETE = 4;
const FROM_REGION = 2;

/** A value that runs nobody's code when it is read: a string, or a plain view of bytes. */
export function checkValue(value: unknown): FieldValue {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) throw invalid("value", "a string or a Uint8Array", value);
  return checkBytes("value", value);
}

/** Names and values in turn, all checked: from here on no code of the user runs. */
export type Flat = (string | FieldValue)[];

export function collect(init: unknown): Flat {
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
export function writeLines(crossing: Crossing, calls: Calls, lines: Flat): number | undefined {
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
export function changeByRegion(agent: Agent, index: number, generation: number, how: number, lines: Flat): void {
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

/** The lines of a copied block of `size` bytes, which begins at the byte `at`; `undefined` when they do not lie in it. */
export function readLines(
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
