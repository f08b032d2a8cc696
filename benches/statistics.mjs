// Medians of interleaved rounds: A B C A B C …, so that a noisy minute hits all alike.

export function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Runs each of `contestants` (name → function that answers one number) once a round; all samples by name. */
export async function interleave(contestants, rounds) {
  const samples = Object.fromEntries(Object.keys(contestants).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(contestants)) samples[name].push(await measure());
    // A turn of the event loop, as every program has: some work is put off to it.
    await new Promise((resolve) => setTimeout(resolve));
  }
  return samples;
}

/** The median over the rounds of `a`'s sample divided by `b`'s of the same round. */
export function ratio(a, b) {
  return median(a.map((sample, round) => sample / b[round]));
}
