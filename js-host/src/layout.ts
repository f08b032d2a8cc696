/** The few words of the heap that the glue itself reads: the header of the control area, who sits in which slot, and what an error names. */

import { PAGE } from "./check.js";
import { CoheapError } from "./errors.js";
import { ABI_NUMBER, LAYOUT_VERSION, MAGIC } from "./generated.js";
import type { Life } from "./life.js";
import { type HeapToken, refused } from "./token.js";
import { loadWord, type Views } from "./views.js";

const SLOT_CHUNKS = 0x100;
const CHUNK_COUNT = 32;
const SLOTS_PER_CHUNK = 128;
/** Slots of a heap at most. */
export const MAXIMUM_SLOTS = CHUNK_COUNT * SLOTS_PER_CHUNK;
const SLOT_SIZE = 1024;
const SLOT_INDEX = 40;
const SLOT_SAID = 48;
const SLOT_LIFE = 376;
const CONDEMNED = 2;
const ATTACHED = 8;
const OBJECT_PAGES = 0x4000;
const OBJECTS_PER_PAGE = 1024;
const OBJECT_SIZE = 64;
const OBJECT_VALUE = 8;
const FLAGS = 12;
const FROZEN = 1;
const LIMIT = 16;

/** Whether this copy of coheap may attach there, told by loads alone: a refused attach changes no byte. */
export function checkHeader(views: Views, memory: WebAssembly.Memory, token: HeapToken): void {
  if (token.control + PAGE > memory.grow(0) * PAGE) throw refused("its control area lies beyond the end of its memory");
  const magic = loadWord(views, token.control);
  if (magic !== MAGIC) throw new CoheapError("COHEAP_NOT_A_HEAP", { found: `0x${magic.toString(16)}` });
  const expected = `layout ${LAYOUT_VERSION}, ABI ${ABI_NUMBER}`;
  const found = `layout ${loadWord(views, token.control + 4)}, ABI ${loadWord(views, token.control + 8)}`;
  if (found !== expected) throw new CoheapError("COHEAP_ABI_MISMATCH", { expected, found });
  if ((loadWord(views, token.control + FLAGS) & FROZEN) !== 0) throw new CoheapError("COHEAP_FROZEN", {});
  const claimed = `layout ${token.layout}, ABI ${token.abi}`;
  if (claimed !== expected) throw new CoheapError("COHEAP_ABI_MISMATCH", { expected, found: claimed });
}

/** Pages that the memory may have in the end. */
export function limit(views: Views, control: number): number {
  return loadWord(views, control + LIMIT);
}

/** Where the page is that a word names: its number stands in both halves. 0: none, or the word is damaged. */
function pageOf(name: number): number {
  return name % PAGE === Math.floor(name / PAGE) ? name - (name % PAGE) : 0;
}

/** The slots that agents have: where each lies, and its flags. */
function* occupied(views: Views, control: number): Generator<{ readonly slot: number; readonly flags: number }> {
  for (let chunk = 0; chunk < CHUNK_COUNT; chunk++) {
    const first = pageOf(loadWord(views, control + SLOT_CHUNKS + 4 * chunk));
    for (let number = 0; first !== 0 && number < SLOTS_PER_CHUNK; number++) {
      const slot = first + number * SLOT_SIZE;
      const flags = loadWord(views, slot) & 0xffff;
      if ((flags & ATTACHED) !== 0) yield { slot, flags };
    }
  }
}

/** Slots whose agents ended without proof: condemned, or never said who they are. */
export function quarantined(views: Views, control: number): number {
  let count = 0;
  for (const { slot, flags } of occupied(views, control)) {
    if ((flags & CONDEMNED) !== 0 || isAnonymous(views, slot)) count++;
  }
  return count;
}

/** Whether what the agent says of itself is another one's, or nobody's. */
function isAnonymous(views: Views, slot: number): boolean {
  const incarnation = (word: number) => loadWord(views, word + 4) >>> 8;
  const hasSaid = (loadWord(views, slot + SLOT_SAID) & ATTACHED) !== 0;
  return !hasSaid || incarnation(slot + SLOT_SAID) !== incarnation(slot);
}

/** The index of an agent of this life, if there is one. */
export function agentOf(views: Views, control: number, { low, high }: Life): number | undefined {
  for (const { slot } of occupied(views, control)) {
    const isOf = loadWord(views, slot + SLOT_LIFE) === low && loadWord(views, slot + SLOT_LIFE + 4) === high;
    if (isOf) return loadWord(views, slot + SLOT_INDEX);
  }
  return;
}

/** The address of the block that fields have now. */
export function blockOfFields(views: Views, control: number, index: number): number {
  const page = pageOf(loadWord(views, control + OBJECT_PAGES + 4 * Math.floor(index / OBJECTS_PER_PAGE)));
  const entry = page + (index % OBJECTS_PER_PAGE) * OBJECT_SIZE;
  return (loadWord(views, entry + OBJECT_VALUE) & 0x0fffffff) * 16;
}

/** How the agent in `slot` is called by its children: its index, plus one. */
export function parentMark(views: Views, slot: number): number {
  return loadWord(views, slot + SLOT_INDEX) + 1;
}
