/** Strings that have a number in the heap. What one agent has learned of them never changes. */
import type { Agent } from "./agent.js";
import type { Calls } from "./calls.js";
import { ASCII, LATIN1, type Text } from "./strings.js";

/** Units of an atom at most. */
export const LONGEST_ATOM = 64;

/** One of so many strings is remembered, and so many at a time. */
const SAMPLED = 4;
const MOST_CANDIDATES = 4096;

/** One agent's copy of the atoms that it has met. */
export class Atoms {
  readonly #agent: Agent;
  readonly #text: Text;
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  /** Strings that came lately and were no atoms, and how many were asked about. */
  readonly #candidates = new Set<string>();
  #asked = 0;
  #loaded = false;

  constructor(agent: Agent, text: Text) {
    this.#agent = agent;
    this.#text = text;
  }

  /** Learns the fixed ones, the first time: that writes into the transfer buffer. */
  prepare(calls: Calls): void {
    if (!this.#loaded) this.#load(calls);
  }

  /** The atom of a string that this agent knows to be one, after `prepare`; undefined for any other. Asks nobody. */
  known(text: string): number | undefined {
    return this.#ids.get(text);
  }

  /** The atom of a string of at most 64 units below 256, made if there is none; undefined when it can have none. */
  intern(text: string, calls: Calls): number | undefined {
    this.prepare(calls);
    const known = this.known(text);
    if (known !== undefined || text.length === 0 || text.length > LONGEST_ATOM) return known;
    calls.beginTurn(); // the transfer buffer belongs to the operation
    if (this.#text.write(text, 0) > LATIN1) return undefined;
    calls.run(calls.wasm.coheap_atom_intern, text.length);
    const atom = calls.detail(0);
    if (atom < 0) return undefined;
    this.#learn(atom, text);
    return atom;
  }

  /** As `known`; of the others one in a few is remembered, and becomes an atom when it comes again. */
  often(text: string, calls: Calls): number | undefined {
    const known = this.#ids.get(text);
    if (known !== undefined || ++this.#asked % SAMPLED !== 0) return known;
    if (!this.#candidates.delete(text)) {
      if (this.#candidates.size >= MOST_CANDIDATES) this.#candidates.clear();
      this.#candidates.add(text);
      return undefined;
    }
    return this.intern(text, calls);
  }

  /** The string of an atom; undefined when there is none of this number. */
  text(atom: number, calls: Calls): string | undefined {
    this.prepare(calls);
    const known = this.#texts[atom];
    if (known !== undefined) return known;
    calls.beginTurn();
    const length = calls.status(calls.wasm.coheap_atom_text, atom);
    if (length === 0) return undefined;
    const text = this.#text.read(LATIN1, 0, length);
    this.#learn(atom, text);
    return text;
  }

  #learn(atom: number, text: string): void {
    this.#ids.set(text, atom);
    this.#texts[atom] = text;
  }

  #load(calls: Calls): void {
    calls.beginTurn();
    const length = calls.status(this.#agent.calls.wasm.coheap_atoms_fixed);
    const lines = this.#text.read(ASCII, 0, length).split("\n");
    lines.pop();
    lines.forEach((text, atom) => {
      this.#learn(atom, text);
    });
    this.#loaded = true;
  }
}
