// What of a memory a run depends on: the words that it reads before it has written them. A run in another memory, equal in those words, goes
// the same way: that is one case, and need not be tried twice.

const WRITE = 1;

/** Arrays that are used again: new ones take longer than most runs. */
const unused = [];

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
    const written = new Set();
    for (const word of rest?.where ?? []) {
      if (!this.#hasWritten(word)) continue;
      written.add(word);
    }
    unused.push({ isRead: this.#isRead, written: this.#written });
    return new Case(who, wordsOf(bytes), Uint32Array.from(this.#where), result, rest && { rest, written });
  }

  /** Then it follows from what was read. Any of it: the rest of a word that was written in part counts as read. */
  #hasWritten(word) {
    if (this.#isRead[word] === 1) return true;
    const written = this.#written;
    const at = 4 * word;
    const bytes = [written[at], written[at + 1], written[at + 2], written[at + 3]];
    if (bytes.every((time) => time === 0)) return false;
    if (bytes.includes(0)) this.add(word);
    return true;
  }
}

function wordsOf({ buffer, byteOffset, length }) {
  return new Int32Array(buffer, byteOffset, length >>> 2);
}

class Case {
  #who;
  #values;
  #then;

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

  /** Where these words are others, as {word, value} of this case; `undefined`: nowhere. */
  difference(who, words) {
    const found = this.#differs(words) ?? this.#then?.rest.#differs(words, this.#then.written);
    return found ?? (who === this.#who ? undefined : { word: this.where[0], value: this.#values[0] });
  }

  #differs(words, written) {
    const { where } = this;
    const values = this.#values;
    for (let i = 0; i < where.length; i++)
      if (words[where[i]] !== values[i] && !written?.has(where[i])) return { word: where[i], value: values[i] };
    return undefined;
  }
}

/** The cases that were tried. */
export class Cases {
  #all = [];
  /** Of each the last difference that was seen: most likely the next one, too. */
  #words = [];
  #values = [];
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
    const found = likely?.difference(who, words) === undefined ? likely : undefined;
    return this.#asked(found ?? this.#search(who, words));
  }

  #search(who, words) {
    const [all, where, values] = [this.#all, this.#words, this.#values];
    for (let at = 0; at < all.length; at++) {
      if (words[where[at]] !== values[at]) continue;
      const difference = all[at].difference(who, words);
      if (difference === undefined) return all[at];
      where[at] = difference.word;
      values[at] = difference.value;
    }
    return undefined;
  }

  #asked(one) {
    if (one === undefined) return undefined;
    this.#next.set(this.#before, one);
    this.#before = one;
    return one;
  }

  add(one, bytes) {
    this.#all.push(one);
    this.#words.push(one.where[0]);
    this.#values.push(wordsOf(bytes)[one.where[0]]);
    return this.#asked(one);
  }
}
