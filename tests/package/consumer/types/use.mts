// A user's TypeScript. The same text is checked as an ES module and as a CommonJS one.
import { type Embedded, type Handle, isCoheapError, type SharedCell, SharedHeap } from "coheap";
import "coheap/devtools";
import { wasm } from "coheap/inline";
import { attach, type BlockingHeap } from "coheap/worker";

export async function host(): Promise<number> {
  const heap = await SharedHeap.create({ maximum: "64MiB", wasm });
  const state: SharedCell<string> = heap.cell<string>("state", "idle");
  const won: boolean = state.compareAndSet("idle", "busy");
  const outcome: "changed" | "timed-out" = await state.waitAsync("busy", { timeout: 10 });
  const fields = heap.fields([["Accept", "text/html"]]);
  const handle: Handle = fields.handle;
  const bytes: Uint8Array = heap.bytes("block", 8).read();
  // @ts-expect-error: a cell of strings takes no number, so its type is not any
  state.set(5);
  // @ts-expect-error: this face never blocks
  state.waitSync("busy");
  // @ts-expect-error: not an option
  await SharedHeap.create({ size: 5 });
  // @ts-expect-error: bytes are no text
  wasm.charCodeAt(0);
  console.log(won, outcome, handle, bytes.length);
  return heap.cell("hits").get();
}

/** The structures, as the page of the package says that they are typed. */
export async function structures(heap: SharedHeap): Promise<number> {
  const names = heap.map<string, string>("names");
  names.set("a", "b").set("c", "d");
  const found: string | undefined = names.get("a");
  const copy: Map<string, string> = new Map(names);
  const counts = heap.map<string, number>("counts");
  const sum: number = counts.add("a", 2);
  const list = heap.list<number>("list");
  const length: number = list.push(1, 2, 3);
  const third: number | undefined = list.at(-1);
  const pipe = heap.pipe("pipe", { capacity: 65_536 });
  await pipe.write("text", { timeout: 10 });
  const bytes: Uint8Array<ArrayBuffer> | null = await pipe.read({ max: 10, until: " " });
  const lease = await pipe.lease();
  if (lease !== null) counts.addMany([["b", 1]], { settle: lease });
  // @ts-expect-error: a map of strings adds nothing
  names.add("x");
  // @ts-expect-error: a plain object is no value; heap.from makes one of it
  heap.map("objects").set("a", { name: "x" });
  // @ts-expect-error: this face never blocks
  pipe.readSync();
  // @ts-expect-error: a list of numbers has no text
  list.push("4");
  console.log(found, copy, bytes);
  return sum + length + (third ?? 0);
}

/** Programs of WebAssembly: one with a memory of its own, and one whose memory is the heap. */
export async function programs(heap: SharedHeap, module: WebAssembly.Module): Promise<WebAssembly.Exports> {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const program = new WebAssembly.Instance(module, { coheap: heap.imports(memory), env: { memory } });
  const other: Embedded = await SharedHeap.embed(module, { maximum: "64MiB", imports: { env: { now: () => 0 } } });
  // @ts-expect-error: a program has no name
  heap.imports("program");
  // @ts-expect-error: not an option
  other.heap.thread({ size: 5 });
  console.log(program.exports, other.exports);
  return other.heap.thread({ stack: 2 ** 20 });
}

export function worker(token: ReturnType<SharedHeap["token"]>): BlockingHeap {
  try {
    const heap = attach(token);
    heap.cell("hits").waitSync(0, 10);
    // @ts-expect-error: a worker makes no heap
    attach();
    return heap;
  } catch (error) {
    if (isCoheapError(error, "COHEAP_NO_SLOT")) console.log(error.details, error.code);
    // @ts-expect-error: no such code
    isCoheapError(error, "COHEAP_NOTHING");
    throw error;
  }
}
