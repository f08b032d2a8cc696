// The conformance suite as JavaScript runs it, in Node and in pages: the same cases that Rust runs natively
// (collections/tests/conformance.rs). Imports nothing, so that a page can load it.

/** The value that a case writes as JSON. `named` answers the structure of a name. */
function decode(value, named) {
  if (Array.isArray(value)) return value.map((item) => decode(item, named));
  if (typeof value !== "object" || value === null) return value;
  if (value.is === "undefined") return undefined;
  if (value.is === "-0") return -0;
  if (value.is !== undefined) return Number(value.is);
  if (value.units !== undefined) return String.fromCharCode(...value.units);
  if (value.bytes !== undefined) return Uint8Array.from(value.bytes);
  if (value.object !== undefined) return named(value.object);
  if (value.repeat !== undefined) return value.repeat.repeat(value.times);
  const negative = value.integer.startsWith("-");
  const magnitude = BigInt(value.integer.slice(negative ? 1 : 0));
  return negative ? -magnitude : magnitude;
}

function isSame(a, b) {
  if (Array.isArray(a) || a instanceof Uint8Array) {
    return a.constructor === b?.constructor && a.length === b.length && a.every((item, at) => isSame(item, b[at]));
  }
  return Object.is(a, b);
}

function show(value) {
  const text = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? String(value));
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

/** Where a method of a case has another form in JavaScript. */
const spelled = {
  isFrozen: (fields) => fields.immutable,
  size: (map) => map.size,
  length: (list) => list.length,
  entries: (structure) => [...structure.entries()],
  keys: (structure) => [...structure.keys()],
  values: (structure) => [...structure.values()],
};

function perform(structure, { call, with: given = [] }, named) {
  const values = given.map((value) => decode(value, named));
  return spelled[call] === undefined ? structure[call](...values) : spelled[call](structure, ...values);
}

/**
 * Runs every case on a structure of its own and answers how many steps were as they should be, and a line for each that was not.
 * `kind` is what makes the structure: "cell", "fields", "list", "map".
 */
export function conformance(heap, kind, cases) {
  const failures = [];
  let steps = 0;
  for (const { name, steps: script } of cases) {
    const structure = heap[kind]();
    const objects = new Map();
    const named = (object) => objects.get(object) ?? objects.set(object, heap.map()).get(object);
    script.forEach((step, number) => {
      let found;
      try {
        const answer = perform(structure, step, named);
        if (step.throws !== undefined) found = `${show(answer)}, not ${step.throws}`;
        else if ("gives" in step && !isSame(answer, decode(step.gives, named))) {
          found = `${show(answer)}, not ${show(decode(step.gives, named))}`;
        }
      } catch (error) {
        if (error.code !== step.throws || error.code === undefined) found = `${error.name}: ${error.message}`;
      }
      steps += 1;
      if (found !== undefined) failures.push(`${kind}: ${name}: step ${number}, ${step.call}: ${found}`);
    });
    structure.dispose();
    for (const object of objects.values()) object.dispose();
  }
  return { steps, failures };
}
