// What of a memory a run depends on: the words that it reads before it has written them. A run in another memory, equal in those words, goes
// the same way: that is one case, and need not be tried twice.

const WRITE = 1;

/** Arrays that are used again: new ones take longer than most runs. */
const unused = [];
/** By their length. */
const arrays = new Map();

/** Notes what is read, by the instances of tools/src/accesses.rs, and by JavaScript. */
export class Reads {
  /** Words, by their index. */
  #where = [];
  #isRead;
  /** By byte: 0, or one more than the time when it was written first. */
  #written;
  #buffer;
  #time;

  /** `time`: what time it is, if somebody asks for that. */
  constructor({ buffer }, time = () => 0) {
    this.#buffer = buffer;
    const { length } = new Uint8Array(buffer);
    const free = unused.findIndex(({ written }) => written.length === length);
    const arrays = free === -1 ? undefined : unused.splice(free, 1)[0];
    this.#isRead = arrays?.isRead.fill(0) ?? new Uint8Array(length >>> 2);
    this.#written = arrays?.written.fill(0) ?? new Uint16Array(length);
    this.#time = time;
  }

  access = (what, address, bytes) => {
    const from = address >>> 0;
    const to = from + (bytes >>> 0);
    if (what === WRITE) this.#writes(from, to);
    else this.#reads(from, to);
  };

  #writes(from, to) {
    const written = this.#written;
    const now = this.#time() + 1;
    for (let at = from; at < to; at++) if (written[at] === 0) written[at] = now;
  }

  #reads(from, to) {
    const [isRead, written] = [this.#isRead, this.#written];
    for (let at = from; at < to; at++) if (written[at] === 0 && isRead[at >>> 2] === 0) this.add(at >>> 2);
  }

  /** This word counts as read. */
  add(word) {
    if (this.#isRead[word] === 1) return;
    this.#isRead[word] = 1;
    this.#where.push(word);
  }

  /** JavaScript reads this view. */
  view({ buffer, byteOffset, byteLength }) {
    if (buffer === this.#buffer) this.#reads(byteOffset, byteOffset + byteLength);
  }

  /** Those of these words count as read, too, that were not all written at that time. */
  addUnwritten(words, time) {
    const [isRead, written] = [this.#isRead, this.#written];
    for (let i = 0; i < words.length; i++) {
      const word = words[i];
      if (isRead[word] === 1) continue;
      for (let at = 4 * word; at < 4 * word + 4; at++) if (written[at] === 0 || written[at] > time + 1) this.add(word);
    }
  }

  /** `body` runs, with what JavaScript loads there. */
  async during(body) {
    const { load } = Atomics;
    Atomics.load = (view, index) => {
      this.view(view.subarray(index, index + 1));
      return load(view, index);
    };
    try {
      return await body();
    } finally {
      Atomics.load = load;
    }
  }

  /**
   * The case of who began so, with `bytes` in the memory. `rest`: it went on as in that one, when it had written what it has now. Nothing
   * is noted any more.
   */
  case(who, bytes, result, rest) {
    const then = rest && { rest, known: shared(Uint32Array.from(this.#known(rest.where))) };
    unused.push({ isRead: this.#isRead, written: this.#written });
    return new Case(who, wordsOf(bytes), shared(Uint32Array.from(this.#where).sort()), result, then);
  }

  /** Which of these words follow from what was read before. The rest of a word that was written in part counts as read. */
  #known(words) {
    const [isRead, written] = [this.#isRead, this.#written];
    const known = [];
    for (let i = 0; i < words.length; i++) {
      const word = words[i];
      const at = 4 * word;
      const any = written[at] | written[at + 1] | written[at + 2] | written[at + 3];
      if (any === 0 && isRead[word] === 0) continue;
      const isWhole = written[at] * written[at + 1] * written[at + 2] * written[at + 3] !== 0;
      if (!isWhole) this.add(word);
      known.push(i);
    }
    return known;
  }
}

/** The one array of these numbers: many runs read at the same places. */
function shared(numbers) {
  const alike = arrays.get(numbers.length) ?? [];
  const known = alike.find((other) => bytesOf(other).equals(bytesOf(numbers)));
  if (known !== undefined) return known;
  arrays.set(numbers.length, [...alike, numbers]);
  return numbers;
}

const bytesOf = ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength);

function wordsOf({ buffer, byteOffset, length }) {
  return new Int32Array(buffer, byteOffset, length >>> 2);
}

/** So many of them. */
const PROBES = 16;
const NONE = new Uint32Array(0);

class Case {
  #who;
  #values;
  #then;
  /** Words in which others were found to differ, and what they are in this case: most likely the next one differs there, too. */
  #probes = [];

  constructor(who, words, where, result, then) {
    this.#who = who;
    this.#values = new Int32Array(where.length);
    for (let i = 0; i < where.length; i++) this.#values[i] = words[where[i]];
    this.#then = then;
    this.where = where;
    this.result = result;
  }

  /** How it went on. */
  get rest() {
    return this.#then?.rest;
  }

  isOf(who, words) {
    const probes = this.#probes;
    for (let i = 0; i < probes.length; i += 2) if (words[probes[i]] !== probes[i + 1]) return false;
    const difference = this.#differs(words) ?? this.#then?.rest.#differs(words, this.#then.known);
    if (difference === undefined) return who === this.#who;
    probes.unshift(...difference);
    if (probes.length > 2 * PROBES) probes.length = 2 * PROBES;
    return false;
  }

  /** A word that is another one, and what it is in this case; `known`: which words do not count. */
  #differs(words, known = NONE) {
    const { where } = this;
    const values = this.#values;
    let from = 0;
    for (let next = 0; next <= known.length; next++) {
      const to = next < known.length ? known[next] : where.length;
      for (let i = from; i < to; i++) if (words[where[i]] !== values[i]) return [where[i], values[i]];
      from = to + 1;
    }
    return undefined;
  }
}

/** The cases that were tried. */
export class Cases {
  #all = [];
  /** By a case: what was asked for after it, the last time. */
  #next = new Map();
  #before;

  get size() {
    return this.#all.length;
  }

  /** The one that these bytes are of, if any is. */
  find(who, bytes) {
    const words = wordsOf(bytes);
    const likely = this.#next.get(this.#before);
    return this.#asked(likely?.isOf(who, words) ? likely : this.#all.find((each) => each.isOf(who, words)));
  }

  add(one) {
    this.#all.push(one);
    return this.#asked(one);
  }

  #asked(one) {
    if (one === undefined) return undefined;
    this.#next.set(this.#before, one);
    this.#before = one;
    return one;
  }
}
