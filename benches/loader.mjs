// The wasm call that a number read is compared with, over a memory of its own. Runs in Node and in browsers.

import { instantiateHeap, newMemory } from "./contender.mjs";

/** `{ loadWord, address }`: loadWord(address, 0, 0) is 1.5. */
export function loaderOf(module) {
  const memory = newMemory();
  const address = memory.grow(1) * 65_536;
  new Float64Array(memory.buffer, address, 1)[0] = 1.5;
  return { loadWord: instantiateHeap(module, memory).load_word, address };
}
