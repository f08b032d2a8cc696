// A module of nothing but a loop that never ends and counts in shared memory: what not every runtime can stop.

const section = (id, content) => [id, content.length, ...content];
const text = (word) => [word.length, ...new TextEncoder().encode(word)];

/** `(loop (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))) (br 0))` */
const body = [0, 3, 64, 65, 0, 65, 1, 254, 30, 2, 0, 26, 12, 0, 11, 11];

const bytes = Uint8Array.from([
  ...[0, 97, 115, 109, 1, 0, 0, 0],
  ...section(1, [1, 96, 0, 0]),
  ...section(2, [1, ...text("env"), ...text("memory"), 2, 3, 1, 1]),
  ...section(3, [1, 0]),
  ...section(7, [1, ...text("count"), 0, 0]),
  ...section(10, [1, body.length, ...body]),
]);

/** Counts in the first word of a shared memory of one page, for ever. */
export function countForEver(memory) {
  new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports.count();
}
