// One agent straight on heap.wasm's C ABI, without the host glue: the fence in the mode that the caller chooses.
const PAGE = 65_536;
const TABLE_ENTRY = 16;
const SLOT = 1_024;
const BOOTSTRAP_STACK = 320;
const MAXIMUM_PAGES = 1_024;

/** Type number of a number cell. */
export const CELL = 1;

/** A heap of its own in a fresh memory, with one agent: `exports`, and `open(type)` for an anonymous object. */
export function rawAgent(module) {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: MAXIMUM_PAGES, shared: true });
  const env = { memory, wait: () => 3, notify: () => 0, now: () => performance.now() };
  const { exports } = new WebAssembly.Instance(module, { env });
  const check = (status, what) => {
    if (status !== 0) throw new Error(`${what} answered ${status}`);
  };

  const control = Math.ceil((exports.__heap_base.value >>> 0) / PAGE) * PAGE;
  const end = control / PAGE + 1 + Math.ceil((MAXIMUM_PAGES * TABLE_ENTRY) / PAGE);
  const missing = end - memory.grow(0);
  if (missing > 0) memory.grow(missing);
  exports.coheap_start();
  check(exports.coheap_initialize(control, MAXIMUM_PAGES, 0, 1, 2), "coheap_initialize");

  const slot = exports.coheap_claim(control, 1, 0, 0, 0, 0, 0);
  if (slot === 0) throw new Error("coheap_claim found no slot");
  exports.agent.value = slot;
  exports.incarnation.value = exports.coheap_incarnation();
  exports.__stack_pointer.value = slot + SLOT;
  exports.__stack_limit.value = slot + BOOTSTRAP_STACK;
  check(exports.coheap_attach(), "coheap_attach");
  exports.__stack_pointer.value = exports.coheap_stack_top();
  exports.__stack_limit.value = exports.coheap_stack_base();

  return {
    exports,
    open(type) {
      check(exports.coheap_open(type, 0, 0), "coheap_open");
      return { index: exports.coheap_detail(0), generation: exports.coheap_detail(1) | 0 };
    },
  };
}
