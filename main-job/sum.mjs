// The file's bytes in a block of the heap, summed in place by two workers.

import { readSync } from "node:fs";
import { basename } from "node:path";
import { count, ended, MIB, say, startWorker } from "./support.mjs";

const LARGEST_PIECE = 8 * MIB;

/** Bytes of the file, and their sum: the workers' and the host's own. */
export async function sumFile(heap, file, path) {
  const block = heap.bytes(undefined, LARGEST_PIECE);
  const parts = 2;
  const workers = [];
  for (let part = 0; part < parts; part++)
    workers.push(await startWorker(heap, "sum", { part, parts, block: block.handle }));
  say(`3. The bytes of ${basename(path)} go into a block of the heap, and two workers sum it in place.`);
  const exits = workers.map(ended);
  const buffer = new Uint8Array(LARGEST_PIECE);
  const [piece, length, total] = [heap.cell("piece"), heap.cell("length"), heap.cell("total")];
  let own = 0;
  let bytes = 0;
  let number = 0;
  let said = performance.now();
  for (;;) {
    const size = readSync(file, buffer, 0, buffer.length, null);
    if (size === 0) break;
    block.write(0, buffer.subarray(0, size));
    length.set(size);
    piece.set(++number);
    for (let i = 0; i < size; i++) own += buffer[i];
    for (let part = 0; part < parts; part++) {
      const done = heap.cell(`done ${part}`);
      while (done.get() !== number) await done.waitAsync(done.get());
    }
    bytes += size;
    if (performance.now() - said > 2000) {
      said = performance.now();
      say(`   ${count(bytes / MIB)} MiB …`);
    }
  }
  piece.set(-1);
  await Promise.all(exits);
  block.dispose();
  const sum = total.get();
  say(
    `   ${count(bytes)} bytes in ${count(number)} piece${number === 1 ? "" : "s"}: the workers' sum is ${count(sum)}, the host's own ${count(own)}.`,
  );
  return { bytes, sum, own };
}
