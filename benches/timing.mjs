// How long a step takes. Runs in Node and in browsers.

/** Nanoseconds of one call of `step`. */
export function time(step, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) step(i);
  return ((performance.now() - start) * 1e6) / count;
}

/**
 * How many calls of `step` take about `milliseconds`. Calls it for ten times as long first: a large wasm module is compiled
 * anew beside what runs.
 */
export function countFor(step, milliseconds) {
  let count = 16;
  let took = 0;
  while (took < 5 * milliseconds) {
    count *= 2;
    took = (time(step, count) * count) / 1e6;
  }
  return Math.ceil((count * milliseconds) / took);
}
