// heap.wasm that can be stopped at the beginning of any of its functions: by a trap, or by an exception of an import.

/** How a function is stopped. */
export const STOPS = ["unreachable", "out of bounds", "exception of an import"];

/** What a function throws; undefined: it returns. */
export function thrownBy(body) {
  try {
    body();
    return undefined;
  } catch (error) {
    return error;
  }
}

const [IMPORTS, GLOBALS, EXPORTS, CODE] = [2, 6, 7, 10];
const [FUNCTION, TABLE, MEMORY, GLOBAL] = [0, 1, 2, 3];
const text = new TextEncoder();
const utf8 = new TextDecoder();

/** Reads a module's bytes in order. */
class Reader {
  at = 0;

  constructor(bytes) {
    this.bytes = bytes;
  }

  get isAtEnd() {
    return this.at >= this.bytes.length;
  }

  byte() {
    return this.bytes[this.at++];
  }

  number() {
    let [value, shift, byte] = [0, 0, 0x80];
    for (; byte & 0x80; shift += 7) {
      byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
    }
    return value;
  }

  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** What stands behind its length. */
  counted() {
    return this.take(this.number());
  }

  limits() {
    const flags = this.byte();
    this.number();
    if (flags & 1) this.number();
  }
}

function number(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

const counted = (bytes) => [...number(bytes.length), ...bytes];

/** A vector with these at its end. */
function appended(bytes, items) {
  const reader = new Reader(bytes);
  const count = reader.number();
  return { count, bytes: [...number(count + items.length), ...bytes.subarray(reader.at), ...items.flat()] };
}

/** How many globals are imported, and which function is the import `now`. */
function imported(bytes) {
  const reader = new Reader(bytes);
  let [globals, functions, now] = [0, 0];
  for (let left = reader.number(); left > 0; left--) {
    reader.counted();
    const name = utf8.decode(reader.counted());
    const kind = reader.byte();
    if (kind === FUNCTION) {
      reader.number();
      if (name === "now") now = functions;
      functions++;
    } else if (kind === MEMORY) {
      reader.limits();
    } else if (kind === GLOBAL) {
      reader.take(2);
      globals++;
    } else {
      if (kind === TABLE) reader.byte();
      reader.limits();
    }
  }
  return { globals, now };
}

/** Counts down, and at 0 stops as the other global says. */
function prologue(left, how, now) {
  const [get, set, one, minusOne] = [0x23, 0x24, [0x41, 1], [0x41, 0x7f]];
  const [subtract, isZero, equal, when, end, drop] = [0x6b, 0x45, 0x46, [0x04, 0x40], 0x0b, 0x1a];
  const load = [0x28, 2, 0];
  return [
    ...[get, ...left, ...one, subtract, set, ...left],
    ...[get, ...left, isZero, ...when],
    ...[get, ...how, ...one, equal, ...when, ...minusOne, ...load, drop, end],
    ...[get, ...how, 0x41, 2, equal, ...when, 0x10, ...number(now), drop, end],
    ...[0x00, end],
  ];
}

/** The module of these bytes, with the globals `stop_in` and `stop_how` among its exports. */
export function stoppingModule(bytes) {
  const reader = new Reader(bytes);
  const sections = [...reader.take(8)];
  let imports;
  let left;
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const content = reader.counted();
    let changed = content;
    if (id === IMPORTS) imports = imported(content);
    if (id === GLOBALS) {
      const zero = [0x7f, 1, 0x41, 0, 0x0b];
      const { count, bytes } = appended(content, [zero, zero]);
      left = imports.globals + count;
      changed = bytes;
    }
    if (id === EXPORTS) {
      const named = ["stop_in", "stop_how"].map((name, index) => [
        ...counted([...text.encode(name)]),
        GLOBAL,
        ...number(left + index),
      ]);
      changed = appended(content, named).bytes;
    }
    if (id === CODE) changed = withPrologues(content, prologue(number(left), number(left + 1), imports.now));
    sections.push(id, ...number(changed.length));
    for (const byte of changed) sections.push(byte);
  }
  return new WebAssembly.Module(new Uint8Array(sections));
}

function withPrologues(content, before) {
  const reader = new Reader(content);
  const count = reader.number();
  const bodies = [...number(count)];
  for (let left = count; left > 0; left--) {
    const body = new Reader(reader.counted());
    for (let kinds = body.number(); kinds > 0; kinds--) {
      body.number();
      body.byte();
    }
    const locals = body.bytes.subarray(0, body.at);
    bodies.push(...counted([...locals, ...before, ...body.bytes.subarray(body.at)]));
  }
  return bodies;
}

/** What stops the agent whose instance exports this. */
export class Stop {
  #exports;
  #armed = 0;

  constructor(exports) {
    this.#exports = exports;
  }

  /** Runs `body`, and stops it at the `at`-th function (from 1) that is entered meanwhile. Answers what it threw, if anything. */
  during(at, how, body) {
    const { now } = performance;
    performance.now = () => {
      throw new Error("thrown by an import");
    };
    this.#exports.stop_how.value = STOPS.indexOf(how);
    this.#exports.stop_in.value = this.#armed = at;
    try {
      return thrownBy(body);
    } finally {
      this.#armed -= this.#exports.stop_in.value;
      this.#exports.stop_in.value = 0;
      performance.now = now;
    }
  }

  /** How many functions were entered in the last body. */
  get entered() {
    return this.#armed;
  }
}
