// How a reader takes a text from a pipe in pieces of whole words. A lease ends with one kind of white space: a reader stays with a kind
// until there is none of it in all of the pipe.

import { countWords, WHITE_SPACE } from "./count-words.mjs";

/** Different words that one step can add, with the two numbers that go along. */
const MOST_WORDS = 65_534;
/** Bytes of a piece that has to be cut: they cannot have so many different words, most of which take four bytes at least. */
const LARGEST_CUT = 240 * 1024;

/**
 * The pieces, each on lease, with how often it has each word. One ends without white space only where there is none for the length of the
 * pipe, while the cell `isEndless` says so, too, or where no other end leaves few enough words.
 */
export function* leasePieces(pipe, isEndless) {
  let [kind, useless] = [0, 0];
  for (;;) {
    const mustCut = useless >= WHITE_SPACE.length; // all kinds, one after the other
    try {
      const lease = pipe.leaseSync(mustCut ? { max: LARGEST_CUT } : { until: WHITE_SPACE[kind] });
      if (lease === null) return;
      const tally = new Map();
      countWords(lease.bytes, tally);
      if (tally.size <= MOST_WORDS) {
        yield { lease, tally };
        useless = 0;
        continue;
      }
      lease.dispose();
      useless++;
    } catch (error) {
      if (error.code !== "COHEAP_TOKEN_TOO_LONG") throw error;
      useless = isEndless.get() ? useless + 1 : 0;
    }
    kind = (kind + 1) % WHITE_SPACE.length;
  }
}
