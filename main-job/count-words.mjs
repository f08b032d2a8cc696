// Words are runs of letters. A piece of text ends with a space, or the text ends there: so no word is in two pieces.

const decoder = new TextDecoder();

/** Adds the words of a piece to `tally`. */
export function countWords(bytes, tally) {
  for (const word of decoder.decode(bytes).match(/\p{L}+/gu) ?? []) tally.set(word, (tally.get(word) ?? 0) + 1);
}
