// Words are runs of letters. A piece of text ends with a space, or the text ends there: so no word is in two pieces.

const decoder = new TextDecoder();

/** Adds the words of a piece to `tally`. */
export function countWords(bytes, tally) {
  for (const word of decoder.decode(bytes).match(/\p{L}+/gu) ?? []) tally.set(word, (tally.get(word) ?? 0) + 1);
}

/** Where in the map of the words the bytes are counted that a reader took: by the same step, so that none is lost with the reader. */
export const readBy = (number) => `bytes of reader ${number}`;

/** Whether a key of that map is a word. */
export const isWord = (key) => !key.includes(" ");
