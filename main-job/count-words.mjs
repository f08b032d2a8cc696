// Words are runs of letters. A piece of text ends with white space, or the text ends there: so no word is in two pieces.

/** What a piece may end with. */
export const WHITE_SPACE = [" ", "\n", "\t", "\r"];

const codes = WHITE_SPACE.map((character) => character.charCodeAt(0));
const decoder = new TextDecoder();

/** Adds the words of a piece to `tally`. */
export function countWords(bytes, tally) {
  for (const word of decoder.decode(bytes).match(/\p{L}+/gu) ?? []) tally.set(word, (tally.get(word) ?? 0) + 1);
}

/** Where the last white space ends; 0 if there is none. */
export const endOfWords = (bytes) => Math.max(...codes.map((code) => bytes.lastIndexOf(code))) + 1;

export const endsWithWhiteSpace = (bytes) => codes.includes(bytes.at(-1));

/** Where in the map of the words the bytes are counted that a reader took: by the same step, so that none is lost with the reader. */
export const readBy = (number) => `bytes of reader ${number}`;

const CUT = "cut at ";

/** Where in that map it stands that a piece ended here without white space. */
export const cutAt = (position) => CUT + position;

/** All those places, in order. */
export function cutsOf(counts) {
  const cuts = [...counts.keys()].filter((key) => key.startsWith(CUT));
  return cuts.map((key) => Number(key.slice(CUT.length))).sort((one, other) => one - other);
}

/** Whether a key of that map is a word. */
export const isWord = (key) => !key.includes(" ");
