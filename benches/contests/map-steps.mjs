// What is timed of every map here: string keys and values.
// Hot: both were used before. Cold: each is made for the call, so that nobody knows its hash.

export const KEYS = 1000;

export const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`);

/** Each key's two values. */
const values = ["first", "other"].map((which) => keys.map((key) => `the ${which} value of ${key}`));

/** The key that the step number `i` uses: all of them, in an order that no cache foresees. */
export function at(i, count = KEYS) {
  return (i * 7919) % count;
}

/** Gives each of the first `count` keys its value number `which`. */
export function fill(map, which = 0, count = KEYS) {
  for (let i = 0; i < count; i++) map.set(keys[i], values[which][i]);
}

/** Throws unless the map has what `fill` wrote, also under keys made for the call. */
export function check(map, which, count = KEYS) {
  for (let i = 0; i < count; i++) {
    const found = map.get(`user:${i}`);
    if (found !== values[which][i]) throw new Error(`${keys[i]} is "${found}" in place of "${values[which][i]}"`);
  }
}

/** Steps over a map that `fill` filled. */
export function stringSteps(map, count = KEYS) {
  const isString = (value) => {
    if (!(value.length >= 10)) throw new Error(`a value is ${value}`);
  };
  return {
    "hot get": (i) => isString(map.get(keys[at(i, count)])),
    "hot set": (i) => map.set(keys[at(i, count)], values[i & 1][at(i, count)]),
    "cold get": (i) => isString(map.get(`user:${at(i, count)}`)),
    "cold set": (i) => map.set(`user:${at(i, count)}`, `the value of number ${i}`),
  };
}
