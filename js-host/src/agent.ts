/** How an agent comes to sit in a slot of the heap. */
import { blockingIn } from "./blocked.js";
import { Calls } from "./calls.js";
import { PAGE } from "./check.js";
import { AGENT_STACK, fromUser, Home, linked, makeBlock, tagOf, unfit, unused } from "./embed.js";
import { mayBlock } from "./environment.js";
import { CoheapError } from "./errors.js";
import { ABI_NUMBER, LAYOUT_VERSION } from "./generated.js";
import { checkHeader, MAXIMUM_SLOTS, parentMark, quarantined } from "./layout.js";
import { type Life, lifeOf } from "./life.js";
import { describeCause, type SizedMemory } from "./memory.js";
import { needStack } from "./stack.js";
import { checkToken, type HeapToken, random64, refused } from "./token.js";
import { BEYOND_THE_MEMORY, Views } from "./views.js";
import { type HeapExports, imports } from "./wasm.js";

const SLOT_SIZE = 1024;
/** Where a slot's own small stack ends, which the agent uses until it has its body page. */
const BOOTSTRAP_STACK_BASE = 384;
const MAY_BLOCK = 1;
const FIXED = 2;
const PAGE_TABLE_ENTRY = 16;
/** Milliseconds that another agent may need from writing its nonce to seeing ours. */
const LONGEST_LOOK = 10;

/** One agent's seat in a heap: everything that a wrapper needs. */
export interface Agent {
  readonly token: HeapToken;
  readonly life: Life;
  readonly slot: number;
  readonly calls: Calls;
  readonly views: Views;
  /** The agent's own scratch memory inside the heap, through which names and bytes cross. */
  readonly transfer: Uint8Array;
  /** Whether it may block. */
  readonly blocks: boolean;
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
  const blocking = blocks ? blockingIn(views, token.control) : undefined;
  if (token.thread === 0) {
    const wasm = instantiate(token.module, imports(token.memory, views, blocking), mismatch);
    return take(token, views, wasm, blocks, new SlotOfHeap(wasm));
  }
  const links = linked(token.module, token.memory, views, blocking, unused);
  const wasm = instantiate(token.module, links, mismatch);
  const home = Home.moveIn(wasm, views, token.thread, tagOf(token.nonceLow));
  if (home === undefined) throw usedTwice();
  try {
    return take(token, views, wasm, blocks, home);
  } catch (error) {
    home.giveBack();
    throw error;
  }
}

/** The token with which the JavaScript around a program's first instance attaches; `wasm` is that instance. */
export function firstToken(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  wasm: HeapExports,
  control: number,
): HeapToken {
  const { high, low } = random64();
  return {
    ...tokenOf(module, memory, control),
    nonceHigh: high,
    nonceLow: low,
    thread: makeBlock(wasm, { memory, control }, AGENT_STACK, tagOf(low)),
  };
}

function tokenOf(module: WebAssembly.Module, memory: WebAssembly.Memory, control: number): HeapToken {
  const id = random64();
  const heap = id.high.toString(16).padStart(8, "0") + id.low.toString(16).padStart(8, "0");
  const nonce = random64();
  return {
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
    thread: 0,
  };
}

/** Makes a heap in a fresh memory and attaches its creator. */
export function found(module: WebAssembly.Module, { memory, maximumPages }: SizedMemory, fixed: boolean): Agent {
  const views = new Views(memory);
  const mismatch = (reason: string) =>
    new CoheapError("COHEAP_WASM_UNAVAILABLE", { source: "the module given", reason });
  const wasm = instantiate(module, imports(memory, views, undefined), mismatch);
  const control = Math.ceil((wasm.__heap_base.value >>> 0) / PAGE) * PAGE;
  const end = control / PAGE + 1 + Math.ceil((maximumPages * PAGE_TABLE_ENTRY) / PAGE);
  const missing = end - memory.grow(0);
  if (missing > 0) memory.grow(missing);
  wasm.coheap_start();
  const seed = random64();
  const status = wasm.coheap_initialize(control, maximumPages, fixed ? FIXED : 0, seed.low, seed.high);
  if (status !== 0) throw new Calls(wasm, 0).failure(status);
  return take(tokenOf(module, memory, control), views, wasm, false, new SlotOfHeap(wasm));
}

/** A fresh token of the heap that `agent` sits in, for one more agent. COHEAP_OUT_OF_MEMORY in a program's memory. */
export function freshToken({ token, slot, views, calls }: Agent): HeapToken {
  const { high, low } = random64();
  const thread =
    token.thread === 0
      ? 0
      : makeBlock(calls.wasm, token, AGENT_STACK, tagOf(low), (call, size, tag) =>
          calls.status(call as never, size, tag),
        );
  return { ...token, nonceHigh: high, nonceLow: low, parent: parentMark(views, slot), thread };
}

/** One more instance of the program in whose memory `agent` sits, as a thread of it. */
export function startThread({ token, views, calls, blocks }: Agent, given: unknown, stack: number) {
  const { module, memory, control, thread } = token;
  if (thread === 0) throw unfit("its heap is of heap.wasm: start the program with SharedHeap.embed(program)");
  const blocking = blocks ? blockingIn(views, control) : undefined;
  const links = linked(module, memory, views, blocking, fromUser(given));
  const exports = instantiate(module, links, unfit);
  const tag = tagOf(random64().low);
  const block = makeBlock(exports, token, stack, tag, (_, size) =>
    calls.status(calls.wasm.coheap_block as never, size, tag | 0),
  );
  return { exports: exports as unknown as WebAssembly.Exports, home: Home.moveIn(exports, views, block, tag)! };
}

function instantiate(
  module: WebAssembly.Module,
  links: WebAssembly.Imports,
  mismatch: (reason: string) => CoheapError,
): HeapExports {
  let exports: HeapExports;
  try {
    exports = new WebAssembly.Instance(module, links).exports as unknown as HeapExports;
  } catch (cause) {
    if (cause instanceof RangeError) throw cause; // the engine has no room: that is not the module's fault
    throw mismatch(describeCause(cause));
  }
  if (typeof exports.coheap_claim !== "function") throw mismatch("it is another module than heap.wasm");
  checkVersion(exports);
  return exports;
}

/** Before the module's first write: COHEAP_ABI_MISMATCH for one of another version, or of one from before it could be asked. */
function checkVersion({ coheap_version: version }: HeapExports): void {
  const number = version?.() ?? 0;
  if (number === LAYOUT_VERSION * 2 ** 16 + ABI_NUMBER) return;
  const expected = `layout ${LAYOUT_VERSION}, ABI ${ABI_NUMBER}`;
  throw new CoheapError("COHEAP_ABI_MISMATCH", { expected, found: `layout ${number >>> 16}, ABI ${number & 0xffff}` });
}

/** How an instance is told who it is, and where its stack is. */
interface Chair {
  /** It is the agent in `slot`, whichever that is. */
  sit(slot: number): void;
  /** It is this agent of the slot, and no later one. */
  know(slot: number): void;
}

/** An instance of heap.wasm: first on the slot's own small stack, then on the stack of the slot's body page. */
class SlotOfHeap implements Chair {
  readonly #wasm: HeapExports;

  constructor(wasm: HeapExports) {
    this.#wasm = wasm;
  }

  sit(slot: number): void {
    this.#useStack(slot + SLOT_SIZE, slot + BOOTSTRAP_STACK_BASE);
    this.#wasm.agent.value = slot | 0;
  }

  know(): void {
    this.#wasm.incarnation.value = this.#wasm.coheap_incarnation();
  }

  /** Answers where the stack begins. */
  moveUp(): number {
    const top = this.#wasm.coheap_stack_top();
    this.#useStack(top, this.#wasm.coheap_stack_base());
    return top;
  }

  /** The shadow stack from `top` down to `limit`. */
  #useStack(top: number, limit: number): void {
    this.#wasm.__stack_pointer.value = top | 0;
    this.#wasm.__stack_limit.value = limit | 0;
  }
}

/** Claims a slot and moves in. COHEAP_CORRUPT where the way to the slots leads nowhere. */
function take(token: HeapToken, views: Views, wasm: HeapExports, blocks: boolean, chair: SlotOfHeap | Home): Agent {
  try {
    return moveIn(token, views, wasm, blocks, chair);
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    throw new CoheapError("COHEAP_CORRUPT", { rule: BEYOND_THE_MEMORY, address: token.control }, { cause: error });
  }
}

function moveIn(token: HeapToken, views: Views, wasm: HeapExports, blocks: boolean, chair: SlotOfHeap | Home): Agent {
  const { control, nonceLow, nonceHigh, parent } = token;
  if (wasm.coheap_slot_of(control, nonceLow, nonceHigh, 0) !== 0) throw usedTwice();
  const life = lifeOf(token);
  const slot =
    wasm.coheap_claim(control, nonceLow, nonceHigh, life.low, life.high, parent, blocks ? MAY_BLOCK : 0) >>> 0;
  if (slot === 0)
    throw new CoheapError("COHEAP_NO_SLOT", { slots: MAXIMUM_SLOTS, quarantined: quarantined(views, control) });
  let claimed = true;
  try {
    chair.sit(slot);
    chair.know(slot);
    if (losesToken(wasm, token, slot)) throw usedTwice();
    const status = wasm.coheap_attach();
    if (status !== 0) {
      claimed = false; // the slot is free again
      throw new Calls(wasm, 0).failure(status);
    }
    const home = chair instanceof Home ? chair : undefined;
    const stackTop = chair instanceof Home ? chair.stackTop : chair.moveUp();
    const transfer = views.bytes(wasm.coheap_transfer() >>> 0, wasm.coheap_transfer_length());
    const agent = { token, life, slot, calls: new Calls(wasm, stackTop, undefined, home), views, transfer, blocks };
    seats.add(agent);
    return agent;
  } catch (error) {
    if (claimed) {
      chair.sit(slot);
      wasm.coheap_abandon();
    }
    throw error;
  }
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
