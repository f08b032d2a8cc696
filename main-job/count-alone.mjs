// The same count by one thread alone, with no more of the text in memory than a piece and the longest word or the like in it.

import { countWords, endOfWords } from "./count-words.mjs";
import { say } from "./support.mjs";

/** How often each word is there in a text that comes in pieces. It is cut at these places, which are in order, and between words. */
export function countAlone(pieces, cuts, longest) {
  const counts = new Map();
  let [rest, position, next, said] = [Buffer.alloc(0), 0, 0, performance.now()];
  for (const piece of pieces) {
    const text = Buffer.concat([rest, piece]);
    let done = 0;
    for (; cuts[next] <= position + text.length; next++) {
      countWords(text.subarray(done, cuts[next] - position), counts);
      done = cuts[next] - position;
    }
    const end = Math.max(done, endOfWords(text));
    countWords(text.subarray(done, end), counts);
    rest = text.subarray(end);
    position += end;
    if (rest.length > longest) throw new Error(`${rest.length} bytes without white space were not cut`);
    if (performance.now() - said > 4000) {
      said = performance.now();
      say("   … the host still counts, alone …");
    }
  }
  countWords(rest, counts);
  return counts;
}
