// The response's body in one pipe, from which two workers take whole words and count them into one map; one of them is killed, and
// replaced, in mid-stream.

import { Body, send, serve } from "./body.mjs";
import { countAlone } from "./count-alone.mjs";
import { cutsOf, endOfWords, isWord, readBy } from "./count-words.mjs";
import { haveArrived } from "./request.mjs";
import { count, ended, MIB, say, startWorker } from "./support.mjs";

const READERS = 2;
const CAPACITY = MIB;
const SHOWN = 5;
const SHOWN_LETTERS = 30;

/** How much of the text is in when reader 0 is killed: from 20 to 80 %, as the seed says. */
const seed = Number(process.env.COHEAP_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
const KILLED_AT = 0.2 + 0.6 * (seed / 2 ** 32);

function topWords(counts) {
  const words = [...counts].filter(([word]) => isWord(word));
  const best = words.sort(([, one], [, other]) => other - one).slice(0, SHOWN);
  return best.map(([word, number]) => `${word.slice(0, SHOWN_LETTERS)} ${count(number)}`).join(", ");
}

/** Writes the body into the pipe as it comes, and says meanwhile what was counted. Awaits `kill` when it is time for that. */
async function pump(response, heap, total, kill) {
  const [pipe, counts, isEndless] = [heap.pipe("body"), heap.map("words"), heap.cell("endless")];
  let [bytes, tail, said, half, killed] = [0, 0, performance.now(), false, false];
  for await (const piece of response) {
    // Readers cut the text only while it has no white space for half the length of the pipe, and then only if they find none.
    const end = endOfWords(piece);
    tail = end === 0 ? tail + piece.length : piece.length - end;
    if (tail > CAPACITY / 2) isEndless.set(true);
    await pipe.write(piece);
    if (tail <= CAPACITY / 2) isEndless.set(false);
    bytes += piece.length;
    if (!killed && bytes >= total * KILLED_AT) {
      killed = true;
      await kill();
    }
    if (performance.now() - said < 2000 && (half || bytes < total / 2)) continue;
    half ||= bytes >= total / 2;
    say(`   ${count(bytes / MIB)} of ${count(total / MIB)} MiB, most often so far: ${topWords(counts)} …`);
    said = performance.now(); // by now: many words take long to sort
  }
  pipe.close();
  return bytes;
}

/** Whether two counts are one. */
function isSame(shared, alone) {
  let same = shared.size === alone.size;
  for (const [word, number] of shared) same &&= alone.get(word) === number;
  return same;
}

/** Ends the first reader wherever it is, and starts another in its place. */
async function replace(heap, readers) {
  const { proof, repaired } = await heap.terminate(readers[0].worker);
  const where = repaired > 0 ? "inside a call of the heap, which was finished or taken back" : "outside the heap";
  say(
    `   Reader 0 was killed with ${Math.round(100 * KILLED_AT)} % of the text in (COHEAP_SEED=${seed} does so again), ${where} (proof: ${proof}); what it had on lease is back. Reader ${readers.length} takes over.`,
  );
  readers.push(await startReader(heap, readers.length));
}

async function startReader(heap, number) {
  const worker = await startWorker(heap, "words", { number });
  return { worker, exit: ended(worker) };
}

/** Sends the request with these headers and counts the words of the response; whether all was right. */
export async function countBody(heap, file, size, headers) {
  const body = new Body(file, size);
  const often = body.times === 1 ? "" : `, ${count(body.times)} times over`;
  say(
    `5. The body of the response${often} goes into one pipe of ${count(CAPACITY / MIB)} MiB; ${READERS} workers take whole words from it and count them in one map.`,
  );
  const [pipe, counts] = [heap.pipe("body", { capacity: CAPACITY }), heap.map("words")];
  const readers = [];
  for (let number = 0; number < READERS; number++) readers.push(await startReader(heap, number));
  const server = await serve(body);
  try {
    const { response, seen } = await send(server.address().port, ["Host", "127.0.0.1", ...headers.flat()]);
    const arrived = haveArrived(seen);
    say(`   The server at 127.0.0.1:${server.address().port} saw ${arrived ? "all 5 headers" : "NOT all 5 headers"}.`);
    const bytes = await pump(response, heap, body.total, () => replace(heap, readers));
    await Promise.all(readers.map(({ exit }) => exit));
    const read = readers.map((_, number) => counts.get(readBy(number)) ?? 0);
    const share = (part) => `${Math.round((100 * part) / bytes)} %`;
    say(
      `   ${count(bytes)} bytes went through: ${share(read[0] + read[2])} by reader 0 (${share(read[0])}) and reader 2 in its place (${share(read[2])}), ${share(read[1])} by reader 1.`,
    );
    say(`   Most often: ${topWords(counts)}.`);
    say("   The host counts the same alone …");
    const cuts = cutsOf(counts).filter((position) => position < bytes);
    const words = new Map([...counts].filter(([word]) => isWord(word)));
    const same = isSame(words, countAlone(body, cuts, CAPACITY));
    if (cuts.length > 0) {
      say(
        `   At ${count(cuts.length)} places there was no white space for the length of the pipe, or too many words; both cut the text there.`,
      );
    }
    say(
      `   ${count(words.size)} different words, ${same ? "each" : "NOT"} counted as often by the workers as by the host alone.`,
    );
    const whole = bytes === body.total && read.reduce((sum, part) => sum + part, 0) === bytes;
    if (!whole) say(`   BYTES WERE LOST: ${count(body.total)} were to come.`);
    return arrived && whole && same;
  } finally {
    server.close();
    pipe.dispose();
    for (const name of ["body", "words", "endless"]) heap.remove(name);
  }
}
