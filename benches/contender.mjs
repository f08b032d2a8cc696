// How one agent of a contender comes to life in a thread: an instance, a stack of its own, the workloads.
// Runs in Node and in browsers.

const PAGE = 65_536;
const STACK_PAGES = 2;

/** The pages that any memory here may have. */
export const MAXIMUM_PAGES = 8_192;

/** Gives an instance its own stack, in pages nobody else has. */
function ownStack({ __stack_pointer, __stack_limit }, memory) {
  const base = memory.grow(STACK_PAGES) * PAGE;
  __stack_pointer.value = base + STACK_PAGES * PAGE;
  if (__stack_limit) __stack_limit.value = base;
}

/** mimalloc asks the system for clocks and environment variables: it has none here. */
const noSystem = new Proxy({}, { get: () => () => 0 });

function peer(module, memory, creator) {
  const imports = { env: { memory }, wasi_snapshot_preview1: noSystem };
  const { exports } = new WebAssembly.Instance(module, imports);
  // The creator is on the module's first stack and thread-local storage; all others bring their own.
  if (creator) {
    exports._initialize?.();
  } else {
    ownStack(exports, memory);
    exports.__wasm_init_tls?.(memory.grow(1) * PAGE);
  }
  return exports;
}

function instantiate(module, memory) {
  return new WebAssembly.Instance(module, { env: { memory, wait: () => 1, notify: () => 0 } }).exports;
}

/** An instance of coheap with the workloads, on a stack of its own, in a memory that has no heap. */
export function instantiateHeap(module, memory) {
  const exports = instantiate(module, memory);
  ownStack(exports, memory);
  return exports;
}

function coheap(module, memory, creator) {
  const exports = instantiate(module, memory);
  // In every memory here the heap begins behind all that the linker placed.
  const control = Math.ceil((exports.__heap_base.value >>> 0) / PAGE) * PAGE;
  if (creator) {
    exports.coheap_start();
    if (!exports.initialize(control, MAXIMUM_PAGES)) throw new Error("coheap could not be initialized");
  }
  // After that, for every page that the memory had then is the heap's.
  ownStack(exports, memory);
  const nonce = crypto.getRandomValues(new Uint32Array(1))[0];
  const slot = exports.attach(control, nonce);
  if (slot === 0) throw new Error("coheap could not be attached");
  return {
    pairs: (iterations, size) => exports.pairs(slot, iterations, size),
    churn: (iterations, seed) => exports.churn(slot, iterations, seed),
    /** Holds blocks at once; how many pages the memory has then and how often it grew on the way. */
    hold(count, size) {
      const held = BigInt.asUintN(64, exports.hold(slot, count, size));
      if (held === 0n) throw new Error(`coheap could not hold ${count} blocks of ${size} bytes`);
      return { pages: Number(held & 0xffff_ffffn), growths: Number(held >> 32n) };
    },
  };
}

const starters = {
  coheap,
  uncoloured: coheap,
  talc: peer,
  dlmalloc: peer,
  mimalloc: peer,
  "program-coheap": peer,
  "program-std": peer,
};

/**
 * Starts one agent: `{ pairs(iterations, size), churn(iterations, seed) }` and what else there is, each answering how many were not
 * done, if that can be.
 */
export function startAgent(contender, module, memory, creator) {
  return starters[contender](module, memory, creator);
}

/** A memory of at least `initial` pages. */
export function newMemory(initial = 64) {
  return new WebAssembly.Memory({ initial, maximum: MAXIMUM_PAGES, shared: true });
}
