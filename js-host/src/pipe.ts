/** A bounded stream of bytes between agents. */
import { checkMilliseconds, checkOptions, checkSignal, invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { ERRORS } from "./generated.js";
import { type Leased, SharedLease } from "./lease.js";
import { ATOMIC, copy, type Outgoing, outgoing, outgoingMany } from "./outgoing.js";
import { type ReadOptions, Wish, type WriteOptions } from "./pipe-options.js";
import { type Place, SharedResource } from "./resource.js";
import { type Shown, shown } from "./shown.js";
import { valuesOf } from "./values.js";
import { waitForChange } from "./wait.js";
import type { HeapExports } from "./wasm.js";

/** Bytes handed out: a private copy, which every web API takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** What can be written: bytes, or text as UTF-8 (a lone surrogate as U+FFFD). */
export type Chunk = Uint8Array | string;

const KINDS = 2 ** 44;
const END = 1;
const WAIT = 2;
const LONG = 3;
/** Bytes of a lease at most, when nothing is said. */
export const LEASED_AT_ONCE = 65_536;
const LONGEST_REASON = 1024;
/** How a loan ends. */
const [BACK, COMMITTED, UNHEARD] = [0, 1, 2];

/** What an attempt answers that found nothing. */
export const NOTHING: unique symbol = Symbol("nothing yet");

/**
 * A bounded stream of bytes that any number of agents write to and read from. What one agent writes is read in its order; each byte is read
 * once, by one reader. Writes of at most 4,096 bytes stand in the stream whole; of longer ones other agents' writes may come in between. A
 * write waits while the pipe is full: of its capacity in bytes, or of about one write for each 32 bytes of it (4,095 at most).
 *
 * It has the shape of a TransformStream, so `response.body.pipeThrough(pipe)` and `stream.pipeTo(pipe.writable)` work, across agents too.
 *
 * Every call throws or rejects with COHEAP_STALE_HANDLE once the pipe was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after
 * the heap's `detach`, and, but for `close` and `abort`, COHEAP_PIPE_ABORTED, which has the reason, after an `abort`, and COHEAP_AGENT_LOST after the end of a
 * worker that was adopted as one that the pipe needs. If an agent dies in a write,
 * the bytes of the step it died in are in the pipe, or none is; in a read they are gone with it, or still there; what it has on lease goes back.
 */
export class SharedPipe extends SharedResource implements AsyncIterable<Bytes> {
  /** How many bytes it has room for. */
  readonly capacity: number;
  /**
   * The wish for what fits a crossing.
   * @internal
   */
  protected readonly anything: Wish;
  /** Number and generation of the last loan that became a lease, and whether there may be one since that did not. */
  #heard: readonly [number, number] = [0, -1];
  #isUnheard = false;
  // Called at places of their own, which engines make faster.
  readonly #read: HeapExports["coheap_pipe_read"];
  readonly #write: HeapExports["coheap_pipe_write"];
  #readable: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Chunk> | undefined;

  /** @internal */
  constructor(place: Place) {
    super(place);
    const { calls } = place.agent;
    calls.run(calls.wasm.coheap_pipe_capacity, place.index, place.generation);
    this.capacity = calls.detail(0);
    this.#read = calls.wasm.coheap_pipe_read;
    this.#write = calls.wasm.coheap_pipe_write;
    this.anything = new Wish(undefined, undefined, place.agent.transfer.length);
  }

  /** How many bytes can be read now, without those that came back from leases. */
  get available(): number {
    const { calls, place } = this;
    calls.run(calls.wasm.coheap_pipe_available, place.index, place.generation);
    return calls.detail(0);
  }

  /**
   * Resolves to the next bytes, at least one, as soon as there are any; null at the end: the pipe is closed, all was read, and no other agent
   * has bytes on lease. Blocks nobody; a pending read keeps Node alive. COHEAP_TOKEN_TOO_LONG when the pipe is full, of bytes or of
   * writes, and has no delimiter, COHEAP_TIMED_OUT: nothing was read. What came back from a lease comes first, as the piece that it was.
   * O(bytes).
   */
  async read(options?: ReadOptions): Promise<Bytes | null> {
    const { max, until, timeout, signal } = checkOptions(options, ["max", "until", "timeout", "signal"]);
    const wish = new Wish(max, until, this.anything.max);
    return await this.#eventually(timeout, signal, () => this.attemptRead(wish, true));
  }

  /** As `read`, at once: undefined when there is nothing to read yet. Never waits. */
  tryRead(options?: ReadOptions): Bytes | null | undefined {
    const found = this.attemptRead(options === undefined ? this.anything : this.#wish(options), false);
    return found === NOTHING ? undefined : (found as Bytes | null);
  }

  /**
   * As `read`, on loan: the bytes go back, in order, unless they are committed. 31 leases of a pipe can be out at once; then this waits.
   * What came back is taken again as the piece that it was, and nothing is joined to it. Also rejects with COHEAP_OUT_OF_MEMORY.
   */
  async lease(options?: ReadOptions): Promise<SharedLease | null> {
    const { max, until, timeout, signal } = checkOptions(options, ["max", "until", "timeout", "signal"]);
    const wish = new Wish(max, until, LEASED_AT_ONCE);
    return await this.#eventually(timeout, signal, () => this.attemptLease(wish, true));
  }

  /**
   * Writes all of a chunk, text as UTF-8, and resolves when its last byte is in the pipe. Blocks nobody; a pending write keeps Node alive.
   * COHEAP_PIPE_CLOSED after a close, COHEAP_TIMED_OUT (`written` says how many bytes are in), COHEAP_OUT_OF_MEMORY. O(bytes).
   */
  async write(chunk: Chunk, options?: WriteOptions): Promise<void> {
    if (options !== undefined || !this.writeAtOnce(chunk)) await this.#writeAll(outgoing(chunk), options);
  }

  /** As `write` of each chunk, one after the other, many in a step. Chunks of at most 4,096 bytes stand in the stream whole. */
  async writeMany(chunks: Iterable<Chunk>, options?: WriteOptions): Promise<void> {
    await this.#writeAll(outgoingMany(chunks), options);
  }

  /**
   * Writes at once what there is room for, and answers how many bytes that were: all or none of at most 4,096. Never waits.
   * COHEAP_PIPE_CLOSED, COHEAP_OUT_OF_MEMORY.
   */
  tryWrite(chunk: Chunk): number {
    if (this.writeAtOnce(chunk)) return chunk.length;
    const out = outgoing(chunk);
    while (!out.isDone && this.attemptWrite(out, false) !== NOTHING);
    return out.written;
  }

  /** Ends the writing, for all agents: what is in the pipe can be read, then comes the end. Again does nothing. Never blocks. */
  close(): void {
    const { calls, place } = this;
    calls.run(calls.wasm.coheap_pipe_close, place.index, place.generation);
  }

  /**
   * Ends the pipe by force, for all agents: what is in it is lost, reads and writes throw COHEAP_PIPE_ABORTED with this reason, of at most 1,024
   * characters. The first reason stays. Never blocks. COHEAP_OUT_OF_MEMORY.
   */
  abort(reason: string = "aborted"): void {
    if (typeof reason !== "string") throw invalid("reason", "a string", reason);
    const { calls, place } = this;
    const values = valuesOf(place.agent);
    values.encode(reason.slice(0, LONGEST_REASON), 0, undefined, calls);
    calls.run(calls.wasm.coheap_pipe_abort, place.index, place.generation, values.kind, values.number);
  }

  /**
   * An agent is lost that the pipe cannot go on without: reads and writes throw COHEAP_AGENT_LOST, unless it is closed.
   * @internal
   */
  lose(agent: number): void {
    const { calls, place } = this;
    calls.run(calls.wasm.coheap_pipe_lose, place.index, place.generation, agent);
  }

  /** The bytes as a stream, which takes one piece at a time, when it is asked for one. To cancel it is to abort the pipe. */
  get readable(): ReadableStream<Bytes> {
    this.#readable ??= new ReadableStream<Bytes>(
      {
        pull: async (controller) => {
          const bytes = await this.read();
          if (bytes === null) controller.close();
          else controller.enqueue(bytes);
        },
        cancel: (reason) => this.abort(reasonOf(reason)),
      },
      { highWaterMark: 0 },
    );
    return this.#readable;
  }

  /** A stream into the pipe. To close it is to close the pipe, to abort it is to abort the pipe. */
  get writable(): WritableStream<Chunk> {
    this.#writable ??= new WritableStream<Chunk>({
      write: (chunk, controller) => this.write(chunk, { signal: controller.signal }),
      close: () => this.close(),
      abort: (reason) => this.abort(reasonOf(reason)),
    });
    return this.#writable;
  }

  /** The bytes, as `read` answers them, up to the end. To leave the loop early leaves the rest to others. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes, void, undefined> {
    for (;;) {
      const bytes = await this.read();
      if (bytes === null) return;
      yield bytes;
    }
  }

  /** @internal */
  override get [shown](): Shown {
    this.calls.checkUsable();
    return { contents: () => ({ capacity: this.capacity, available: this.available }) };
  }

  /** @internal */
  protected attemptRead(wish: Wish, wait: boolean): Bytes | null | typeof NOTHING {
    const { calls, place } = this;
    calls.beginTurn(); // what is answered stands in the transfer buffer
    const { max, delimiterLength, low, high, scanned } = wish;
    const read = this.#read;
    let answer: number;
    calls.enter();
    try {
      answer = read(place.index, place.generation, max, delimiterLength, low, high, scanned, wait ? 1 : 0);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (answer < 0 || answer >= KINDS) this.#heed(answer, wish, wait);
    const kind = Math.floor(answer / KINDS);
    if (kind === END) return null;
    if (kind === WAIT) return NOTHING;
    if (kind !== LONG) return place.agent.transfer.slice(0, answer) as Bytes;
    const lease = this.attemptLease(wish, wait);
    if (lease === NOTHING || lease === null) return lease;
    lease.commit();
    return lease.bytes;
  }

  /** @internal */
  protected attemptLease(wish: Wish, wait: boolean): SharedLease | null | typeof NOTHING {
    if (this.#isUnheard) this.#giveUnheardBack();
    this.#isUnheard = true;
    try {
      const found = this.#lend(wish, wait);
      this.#isUnheard = false;
      return found;
    } catch (error) {
      try {
        this.#giveUnheardBack();
      } catch {
        // The stack is still too full: the next lease does it.
      }
      throw error;
    }
  }

  #lend(wish: Wish, wait: boolean): SharedLease | null | typeof NOTHING {
    const { calls, place } = this;
    const { index, generation } = place;
    const { wasm } = calls;
    const answer = this.#ask(wasm.coheap_pipe_lease, wish, wait);
    const kind = Math.floor(answer / KINDS);
    if (kind === END) return null;
    if (kind === WAIT) return NOTHING;
    const length = answer % KINDS;
    const [number, loanGeneration, position] = [calls.detail(0), calls.detail(1), calls.detail(2)];
    const bytes = new Uint8Array(length);
    const { transfer } = place.agent;
    for (let at = 0; at < length; at += transfer.length) {
      const count = Math.min(transfer.length, length - at);
      calls.beginTurn(); // as above
      const copy = wasm.coheap_pipe_lease_bytes as never;
      calls.runLong(copy, index, generation, number, loanGeneration, position, length, at, count);
      bytes.set(transfer.subarray(0, count), at);
    }
    const loan: Leased = { pipe: this, number, generation: loanGeneration, position, length };
    const lease = new SharedLease(bytes, loan);
    this.#heard = [number, loanGeneration];
    return lease;
  }

  /** Of what an exception kept from becoming a lease. */
  #giveUnheardBack(): void {
    const { calls, place } = this;
    const [number, generation] = this.#heard;
    const end = calls.wasm.coheap_pipe_lease_end;
    // Whatever it answers: a pipe that is gone has no loans.
    calls.status((() => end(place.index, place.generation, number, generation, 0, 0, UNHEARD)) as never);
    this.#isUnheard = false;
  }

  /**
   * Ends a loan: its bytes are used up, or go back.
   * @internal
   */
  endLoan({ number, generation, position, length }: Leased, commit: boolean): void {
    const { calls, place } = this;
    const how = commit ? COMMITTED : BACK;
    const end = calls.wasm.coheap_pipe_lease_end;
    calls.runLong(end, place.index, place.generation, number, generation, position, length, how);
  }

  /**
   * Writes a few bytes, if there is room for them now. What is not so simple is not for this.
   * @internal
   */
  protected writeAtOnce(chunk: unknown): boolean {
    if (!(chunk instanceof Uint8Array)) return false;
    const { length } = chunk;
    if (!(length > 0 && length <= ATOMIC)) return false;
    const { calls, place } = this;
    calls.beginTurn(); // the transfer buffer belongs to the operation
    copy(chunk, 0, place.agent.transfer, 0);
    const write = this.#write;
    let answer: number;
    calls.enter();
    try {
      answer = write(place.index, place.generation, length, 0);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (answer < 0) throw this.#failure(-answer);
    return answer < KINDS;
  }

  /** @internal */
  protected attemptWrite(out: Outgoing, wait: boolean): typeof NOTHING | undefined {
    const { calls, place } = this;
    calls.beginTurn(); // the transfer buffer belongs to the operation
    const length = out.fill(place.agent.transfer);
    const answer = calls.status(calls.wasm.coheap_pipe_write, place.index, place.generation, length, wait ? 1 : 0);
    if (answer < 0) throw this.#failure(-answer);
    if (answer >= KINDS) return NOTHING;
    out.advance(answer);
    return undefined;
  }

  /**
   * Writes all that is left of it.
   * @internal
   */
  protected attemptAll(out: Outgoing): typeof NOTHING | undefined {
    while (!out.isDone) if (this.attemptWrite(out, true) === NOTHING) return NOTHING;
    return undefined;
  }

  /**
   * What the last attempt left to wait for.
   * @internal
   */
  protected watched(): { address: number; expected: number } {
    return { address: this.calls.detail(0), expected: this.calls.detail(1) };
  }

  #wish(options: unknown): Wish {
    const { max, until } = checkOptions(options, ["max", "until"]);
    return new Wish(max, until, this.anything.max);
  }

  #ask(call: (...values: number[]) => number, wish: Wish, wait: boolean): number {
    const { calls, place } = this;
    const { max, delimiterLength, low, high, scanned } = wish;
    const flag = wait ? 1 : 0;
    const answer = calls.statusOf(call, place.index, place.generation, max, delimiterLength, low, high, scanned, flag);
    this.#heed(answer, wish, wait);
    return answer;
  }

  /** An answer that is a failure, or tells how far it was searched. */
  #heed(answer: number, wish: Wish, wait: boolean): void {
    if (answer < 0) throw this.#failure(-answer);
    if (wait && Math.floor(answer / KINDS) === WAIT) wish.scanned = this.calls.detail(2);
  }

  async #writeAll(out: Outgoing, options: unknown): Promise<void> {
    const { timeout, signal } = checkOptions(options, ["timeout", "signal"]);
    await this.#eventually(timeout, signal, () => this.attemptAll(out), out);
  }

  /** Resolves to what `attempt` answers once that is something. */
  async #eventually<T>(
    timeout: unknown,
    signal: unknown,
    attempt: () => T | typeof NOTHING,
    out?: Outgoing,
  ): Promise<T> {
    const milliseconds = checkMilliseconds("timeout", timeout);
    const checked = checkSignal("signal", signal);
    checked?.throwIfAborted();
    let found = attempt();
    if (found !== NOTHING) return found;
    const watch = () => {
      found = attempt();
      return found === NOTHING ? this.watched() : undefined;
    };
    await waitForChange(this.place.agent, watch, milliseconds, checked);
    if (found === NOTHING) throw new CoheapError("COHEAP_TIMED_OUT", { milliseconds, written: out?.written ?? 0 });
    return found;
  }

  #failure(status: number): CoheapError {
    const { calls, place } = this;
    if (status !== ERRORS.COHEAP_PIPE_ABORTED.number) return calls.failure(status);
    const { index, generation } = place;
    calls.beginTurn(); // what is answered stands in the transfer buffer
    const answer = calls.count(calls.status(calls.wasm.coheap_pipe_reason, index, generation));
    const reason = valuesOf(place.agent).answered(answer, calls);
    // No user gives a number.
    if (typeof reason === "number") return new CoheapError("COHEAP_AGENT_LOST", { agent: reason });
    return new CoheapError("COHEAP_PIPE_ABORTED", { index, reason: String(reason) });
  }
}

/** What a stream's reason is called. */
function reasonOf(reason: unknown): string {
  if (reason instanceof Error) return reason.message;
  return typeof reason === "string"
    ? reason
    : reason === undefined
      ? "aborted"
      : "aborted for a reason of another type";
}
