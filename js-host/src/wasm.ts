/** The C ABI of heap.wasm, and the imports that give it its agent's abilities. */
import type { Views } from "./views.js";

type Status = number;

/** What heap.wasm exports. Sizes and offsets that may exceed 32 signed bits travel as f64. */
export interface HeapExports {
  readonly __stack_pointer: WebAssembly.Global<"i32">;
  readonly __heap_base: WebAssembly.Global<"i32">;
  readonly agent: WebAssembly.Global<"i32">;
  readonly incarnation: WebAssembly.Global<"i32">;
  readonly __stack_limit: WebAssembly.Global;

  /** Modules from before it have none. */
  coheap_version?(): number;
  coheap_start(): void;
  coheap_initialize(control: number, maximumPages: number, flags: number, seedLow: number, seedHigh: number): Status;
  coheap_slot_of(control: number, nonceLow: number, nonceHigh: number, except: number): number;
  coheap_claim(control: number, ...seat: number[]): number;
  coheap_incarnation(): number;
  coheap_attach(): Status;
  coheap_abandon(): void;
  coheap_detach(): Status;
  coheap_stack_top(): number;
  coheap_stack_base(): number;

  /** Of programs alone: see embed.ts. */
  coheap_block?(size: number, tag: number): number;

  coheap_turn_begin(): Status;
  coheap_turn_end(): Status;
  coheap_recover(): Status;

  coheap_transfer(): number;
  coheap_transfer_length(): number;
  coheap_detail(index: number): number;

  coheap_open(type: number, nameLength: number, argument: number): Status;
  coheap_remove(nameLength: number): Status;
  coheap_acquire(index: number, generation: number): Status;
  coheap_release(index: number, generation: number): Status;
  coheap_move(index: number, generation: number): Status;

  coheap_cell_get(index: number, generation: number): number;
  coheap_cell_set(index: number, generation: number, value: number): Status;
  coheap_cell_add(index: number, generation: number, delta: number): Status;
  coheap_cell_compare_and_set(index: number, generation: number, expected: number, value: number): Status;
  coheap_cell_wait(index: number, generation: number, old: number, milliseconds: number): Status;
  coheap_cell_watch(index: number, generation: number, old: number): Status;

  coheap_cell_take(index: number, generation: number): number;
  coheap_cell_piece(index: number, generation: number, offset: number, length: number): Status;
  coheap_cell_snapshot(index: number, generation: number): number;
  coheap_cell_put(index: number, generation: number, kind: number, value: number): Status;
  coheap_cell_compare_and_put(
    index: number,
    generation: number,
    expectedKind: number,
    expected: number,
    kind: number,
    value: number,
  ): Status;
  coheap_cell_open(nameLength: number, kind: number, value: number): Status;
  coheap_cell_wait_value(index: number, generation: number, kind: number, old: number, milliseconds: number): Status;
  coheap_cell_watch_value(index: number, generation: number, kind: number, old: number): Status;

  coheap_atoms_fixed(): number;
  coheap_atom_text(atom: number): number;
  coheap_atom_intern(length: number): Status;

  coheap_bytes_length(index: number, generation: number): Status;
  coheap_bytes_read(index: number, generation: number, offset: number, length: number): Status;
  coheap_bytes_write(index: number, generation: number, offset: number, length: number): Status;
  coheap_bytes_sum(index: number, generation: number, offset: number, length: number): Status;

  coheap_fields_name(length: number): Status;
  coheap_fields_create(count: number): Status;
  coheap_fields_clone(index: number, generation: number): Status;
  coheap_fields_get(index: number, generation: number, name: number, known: number): Status;
  coheap_fields_has(index: number, generation: number, name: number): Status;
  coheap_fields_lines(index: number, generation: number, offset: number): Status;
  coheap_fields_set(index: number, generation: number, name: number, length: number): Status;
  coheap_fields_append(index: number, generation: number, name: number, length: number): Status;
  coheap_fields_delete(index: number, generation: number, name: number): Status;
  coheap_fields_change(index: number, generation: number, how: number, count: number): Status;
  coheap_fields_freeze(index: number, generation: number): Status;
  coheap_fields_is_frozen(index: number, generation: number): Status;

  coheap_list_get(index: number, generation: number, place: number): number;
  coheap_list_values(
    index: number,
    generation: number,
    from: number,
    limit: number,
    region: number,
    regionGeneration?: number,
  ): number;
  coheap_list_put(index: number, generation: number, place: number, count: number, number?: number): number;
  coheap_list_splice(
    index: number,
    generation: number,
    start: number,
    deleted: number,
    count: number,
    at?: number,
  ): number;
  coheap_map_get(index: number, generation: number, kind: number, key: number): number;
  coheap_map_take(index: number, generation: number, kind: number, key: number, at: number): Status;
  coheap_map_number_at(
    index: number,
    generation: number,
    entry: number,
    era: number,
    headLow: number,
    headHigh: number,
  ): number;
  coheap_map_is_same_at(
    index: number,
    generation: number,
    entry: number,
    era: number,
    headLow: number,
    headHigh: number,
    low: number,
    middle: number,
    high: number,
  ): number;
  coheap_map_set_at(
    index: number,
    generation: number,
    entry: number,
    era: number,
    headLow: number,
    headHigh: number,
    kind: number,
    value: number,
  ): number;
  coheap_map_add_at(
    index: number,
    generation: number,
    entry: number,
    era: number,
    headLow: number,
    headHigh: number,
    delta: number,
  ): number;
  coheap_map_snapshot(index: number, generation: number, kind: number, key: number, at: number): Status;
  coheap_map_has(index: number, generation: number, kind: number, key: number): number;
  coheap_map_size(index: number, generation: number): number;
  coheap_map_set(
    index: number,
    generation: number,
    kind: number,
    key: number,
    valueKind: number,
    value: number,
  ): Status;
  coheap_map_insert(
    index: number,
    generation: number,
    kind: number,
    key: number,
    valueKind: number,
    value: number,
    at: number,
  ): number;
  coheap_map_delete(index: number, generation: number, kind: number, key: number): number;
  coheap_map_add(index: number, generation: number, kind: number, key: number, delta: number): number;
  coheap_map_compare_and_set(
    index: number,
    generation: number,
    kind: number,
    key: number,
    expectedKind: number,
    expected: number,
    valueKind: number,
    value: number,
  ): number;
  coheap_map_clear(index: number, generation: number): Status;
  coheap_map_get_many(index: number, generation: number, count?: number, at?: number): number;
  coheap_map_set_many(index: number, generation: number, count?: number): number;
  coheap_map_add_many(...additions: number[]): Status;
  coheap_map_entries(index: number, generation: number, from: number, limit: number): number;
  coheap_map_entry_to(
    index: number,
    generation: number,
    from: number,
    region: number,
    regionGeneration: number,
  ): number;

  coheap_life(nonceLow: number, nonceHigh: number): Status;
  coheap_occupied(from: number): number;
  coheap_left(): number;
  coheap_live(from: number): number;
  coheap_locked(lifeLow: number, lifeHigh: number): number;
  coheap_condemn(lifeLow: number, lifeHigh: number): Status;
  coheap_surrender(): number;
  coheap_adopt(lifeLow: number, lifeHigh: number, isHere: number): number;
  coheap_adopted(lifeLow: number, lifeHigh: number, from: number): number;
  coheap_lost(nonceLow: number, nonceHigh: number): number;
  coheap_reap(lifeLow: number, lifeHigh: number, isEnded: number): number;
  coheap_finish(from: number): Status;

  coheap_pipe_capacity(index: number, generation: number): Status;
  coheap_pipe_available(index: number, generation: number): Status;
  coheap_pipe_write(index: number, generation: number, length: number, wait: number): number;
  coheap_pipe_read(...wish: number[]): number;
  coheap_pipe_lease(...wish: number[]): number;
  coheap_pipe_lease_bytes(...lease: number[]): Status;
  coheap_pipe_lease_end(...lease: number[]): Status;
  coheap_pipe_close(index: number, generation: number): Status;
  coheap_pipe_abort(index: number, generation: number, kind: number, reason: number): Status;
  coheap_pipe_lose(index: number, generation: number, agent: number): Status;
  coheap_pipe_reason(index: number, generation: number): number;
  coheap_sleep(address: number, expected: number, milliseconds: number): Status;

  coheap_audit_begin(): Status;
  coheap_audit_poll(): Status;
  coheap_audit_walk(): Status;
  coheap_audit_end(): Status;
  coheap_figures(): Status;
}

/** What the import `wait` answers. */
const WOKEN = 0;
const NOT_EQUAL = 1;
const TIMED_OUT = 2;
const CANNOT_BLOCK = 3;

/** The ability to block: what a thread does before it sleeps, and when nobody has woken it for a while. */
export interface Blocking {
  begins(): void;
  lasts(): void;
}

/**
 * The imports of an instance. Blocking is an ability that is handed in; an agent that must not block gets a `wait` that refuses. All run outside any operation's critical step and call nothing of the user's.
 */
export function imports(memory: WebAssembly.Memory, views: Views, blocking: Blocking | undefined): WebAssembly.Imports {
  const wait = (address: number, expected: number, milliseconds: number): number => {
    if (blocking === undefined) return CANNOT_BLOCK;
    blocking.begins();
    const at = address >>> 0;
    const outcome = Atomics.wait(views.words(at + 4), at >>> 2, expected, Math.abs(milliseconds));
    // Below 0: a wait of wasm's own, in the middle of any call.
    if (outcome === "timed-out" && milliseconds >= 0) blocking.lasts();
    return outcome === "ok" ? WOKEN : outcome === "not-equal" ? NOT_EQUAL : TIMED_OUT;
  };
  const notify = (address: number, count: number): number => {
    const at = address >>> 0;
    return Atomics.notify(views.words(at + 4), at >>> 2, count >>> 0);
  };
  const now = () => performance.now();
  return { env: { memory, wait, notify, now } };
}
