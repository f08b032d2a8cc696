/** How an agent comes to sit in a slot of the heap. */
import { Calls } from "./calls.js";
import { PAGE } from "./check.js";
import { mayBlock } from "./environment.js";
import { CoheapError } from "./errors.js";
import { ABI_NUMBER, LAYOUT_VERSION } from "./generated.js";
import { checkHeader, parentMark, quarantined } from "./layout.js";
import { describeCause, type SizedMemory } from "./memory.js";
import { needStack } from "./stack.js";
import { checkToken, type HeapToken, random64, refused } from "./token.js";
import { Views } from "./views.js";
import { type HeapExports, imports } from "./wasm.js";

const SLOT_SIZE = 1024;
/** Where a slot's own small stack ends, which the agent uses until it has its body page. */
const BOOTSTRAP_STACK_BASE = 352;
const MAY_BLOCK = 1;
const FIXED = 2;
const MAXIMUM_SLOTS = 4096;
const PAGE_TABLE_ENTRY = 16;
/** Milliseconds that another agent may need from writing its nonce to seeing ours. */
const LONGEST_LOOK = 10;

/** One agent's seat in a heap: everything that a wrapper needs. */
export interface Agent {
  readonly token: HeapToken;
  readonly slot: number;
  readonly calls: Calls;
  readonly views: Views;
  /** The agent's own scratch memory inside the heap, through which names and bytes cross. */
  readonly transfer: Uint8Array;
}

const seats = new WeakSet<Agent>();

/** Whether `value` was made here: the constructors of wrappers can be reached by users, but not used. */
export function isAgent(value: Agent): boolean {
  return seats.has(value);
}

/**
 * Attaches, as an agent that `blocks` or never does. Looks at no more than the slots, never blocks, and changes no byte of the heap unless it
 * succeeds in finding a slot.
 */
export function attach(value: unknown, blocks: boolean): Agent {
  needStack();
  if (blocks && !mayBlock()) throw new CoheapError("COHEAP_CANNOT_BLOCK", {});
  const token = checkToken(value);
  const views = new Views(token.memory);
  checkHeader(views, token.memory, token);
  const mismatch = (reason: string) => refused(`its module does not fit its memory (${reason})`);
  return take(token, views, instantiate(token.module, token.memory, views, blocks, mismatch), blocks);
}

/** Makes a heap in a fresh memory and attaches its creator. */
export function found(module: WebAssembly.Module, { memory, maximumPages }: SizedMemory, fixed: boolean): Agent {
  const views = new Views(memory);
  const mismatch = (reason: string) =>
    new CoheapError("COHEAP_WASM_UNAVAILABLE", { source: "the module given", reason });
  const wasm = instantiate(module, memory, views, false, mismatch);
  const control = Math.ceil((wasm.__heap_base.value >>> 0) / PAGE) * PAGE;
  const end = control / PAGE + 1 + Math.ceil((maximumPages * PAGE_TABLE_ENTRY) / PAGE);
  const missing = end - memory.grow(0);
  if (missing > 0) memory.grow(missing);
  wasm.coheap_start();
  const seed = random64();
  const status = wasm.coheap_initialize(control, maximumPages, fixed ? FIXED : 0, seed.low, seed.high);
  if (status !== 0) throw new Calls(wasm, 0).failure(status);
  const id = random64();
  const heap = id.high.toString(16).padStart(8, "0") + id.low.toString(16).padStart(8, "0");
  const nonce = random64();
  const token: HeapToken = {
    coheap: 1,
    module,
    memory,
    control,
    heap,
    nonceHigh: nonce.high,
    nonceLow: nonce.low,
    parent: 0,
    layout: LAYOUT_VERSION,
    abi: ABI_NUMBER,
  };
  return take(token, views, wasm, false);
}

/** A fresh token of the heap that `agent` sits in, for one more agent. */
export function freshToken({ token, slot, views }: Agent): HeapToken {
  const { high, low } = random64();
  return { ...token, nonceHigh: high, nonceLow: low, parent: parentMark(views, slot) };
}

function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  views: Views,
  blocks: boolean,
  mismatch: (reason: string) => CoheapError,
): HeapExports {
  let exports: HeapExports;
  try {
    exports = new WebAssembly.Instance(module, imports(memory, views, blocks)).exports as unknown as HeapExports;
  } catch (cause) {
    if (cause instanceof RangeError) throw cause; // the engine has no room: that is not the module's fault
    throw mismatch(describeCause(cause));
  }
  if (typeof exports.coheap_claim !== "function") throw mismatch("it is another module than heap.wasm");
  return exports;
}

/** Claims a slot and moves in: first onto the slot's own small stack, then onto the stack of the slot's body page. */
function take(token: HeapToken, views: Views, wasm: HeapExports, blocks: boolean): Agent {
  const { control, nonceLow, nonceHigh, parent } = token;
  if (wasm.coheap_slot_of(control, nonceLow, nonceHigh, 0) !== 0) throw usedTwice();
  const slot = wasm.coheap_claim(control, nonceLow, nonceHigh, parent, blocks ? MAY_BLOCK : 0) >>> 0;
  if (slot === 0)
    throw new CoheapError("COHEAP_NO_SLOT", { slots: MAXIMUM_SLOTS, quarantined: quarantined(views, control) });
  let claimed = true;
  const sitDown = () => {
    useStack(wasm, slot + SLOT_SIZE, slot + BOOTSTRAP_STACK_BASE);
    wasm.agent.value = slot | 0;
  };
  try {
    sitDown();
    wasm.incarnation.value = wasm.coheap_incarnation();
    if (losesToken(wasm, token, slot)) throw usedTwice();
    const status = wasm.coheap_attach();
    if (status !== 0) {
      claimed = false; // the slot is free again
      throw new Calls(wasm, 0).failure(status);
    }
    const stackTop = wasm.coheap_stack_top();
    useStack(wasm, stackTop, wasm.coheap_stack_base());
    const transfer = views.bytes(wasm.coheap_transfer() >>> 0, wasm.coheap_transfer_length());
    const agent = { token, slot, calls: new Calls(wasm, stackTop), views, transfer };
    seats.add(agent);
    return agent;
  } catch (error) {
    if (claimed) {
      sitDown();
      wasm.coheap_abandon();
    }
    throw error;
  }
}

/** The shadow stack from `top` down to `limit`. */
function useStack(wasm: HeapExports, top: number, limit: number): void {
  wasm.__stack_pointer.value = top | 0;
  wasm.__stack_limit.value = limit | 0;
}

/**
 * Whether the agent in `slot` must leave because another has its token. Of two that came at the same time the one in the lower slot stays:
 * it waits until the other has seen it. If the other stays too, it was there first.
 */
function losesToken(wasm: HeapExports, { control, nonceLow, nonceHigh }: HeapToken, slot: number): boolean {
  const end = performance.now() + LONGEST_LOOK;
  for (;;) {
    const other = wasm.coheap_slot_of(control, nonceLow, nonceHigh, slot) >>> 0;
    if (other === 0) return false;
    if (other < slot || performance.now() > end) return true;
  }
}

function usedTwice(): CoheapError {
  return refused("another agent has attached with it: one token lets in one agent, and heap.token() makes the next");
}
