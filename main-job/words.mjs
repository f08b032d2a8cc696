// The response's body in one pipe, from which two workers take whole words and count them into one map; one of them is killed, and
// replaced, in mid-stream.

import { closeSync, createReadStream, openSync, readSync } from "node:fs";
import { createServer, request } from "node:http";
import { countWords, isWord, readBy } from "./count-words.mjs";
import { haveArrived } from "./request.mjs";
import { count, ended, MIB, say, startWorker } from "./support.mjs";

const READERS = 2;
const CAPACITY = MIB;
/** A small file is sent so often that there is something to share. */
const LEAST = 16 * MIB;
const SHOWN = 5;
const SPACE = 0x20;

/** Serves the file on loopback, `times` times in a row, and answers which headers the request had, as they came. */
async function serve(path, times) {
  const server = createServer(async ({ rawHeaders }, response) => {
    response.setHeader("X-Request-Headers", encodeURIComponent(JSON.stringify(rawHeaders)));
    try {
      for (let time = 0; time < times; time++) {
        for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024 })) {
          if (!response.write(piece)) await new Promise((resolve) => response.once("drain", resolve));
        }
      }
      response.end();
    } catch (error) {
      response.destroy(error);
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return server;
}

/** Sends the request, and answers the response and the headers that the server saw. */
function send(port, headers) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, headers, agent: false }, (response) => {
      const raw = JSON.parse(decodeURIComponent(response.headers["x-request-headers"]));
      const seen = raw.filter((_, i) => i % 2 === 0).map((name, i) => [name, raw[2 * i + 1]]);
      resolve({ response, seen });
    });
    outgoing.on("error", reject).end();
  });
}

function topWords(counts) {
  const words = [...counts].filter(([word]) => isWord(word));
  const best = words.sort(([, one], [, other]) => other - one).slice(0, SHOWN);
  return best.map(([word, number]) => `${word} ${count(number)}`).join(", ");
}

/** Writes the body into the pipe as it comes, and says meanwhile what was counted. Awaits `midway` when half of it is in. */
async function pump(response, pipe, counts, total, midway) {
  let [bytes, said, half, passed] = [0, performance.now(), false, false];
  for await (const piece of response) {
    await pipe.write(piece);
    bytes += piece.length;
    if (!passed && bytes >= total / 2) {
      passed = true;
      await midway();
    }
    if (performance.now() - said < 2000 && (half || bytes < total / 2)) continue;
    [said, half] = [performance.now(), half || bytes >= total / 2];
    say(`   ${count(bytes / MIB)} of ${count(total / MIB)} MiB, most often so far: ${topWords(counts)} …`);
  }
  pipe.close();
  return bytes;
}

/** The same count by this thread alone, from the file. */
function countAlone(path, times) {
  const counts = new Map();
  let [rest, said] = [Buffer.alloc(0), performance.now()];
  for (let time = 0; time < times; time++) {
    const file = openSync(path);
    for (;;) {
      const buffer = Buffer.alloc(MIB);
      const length = readSync(file, buffer, 0, buffer.length, null);
      if (length === 0) break;
      const piece = Buffer.concat([rest, buffer.subarray(0, length)]);
      const end = piece.lastIndexOf(SPACE) + 1;
      countWords(piece.subarray(0, end), counts);
      rest = piece.subarray(end);
      if (performance.now() - said > 4000) {
        said = performance.now();
        say("   … the host still counts, alone …");
      }
    }
    closeSync(file);
  }
  countWords(rest, counts);
  return counts;
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
    `   Reader 0 was killed in mid-stream, ${where} (proof: ${proof}); what it had on lease is back. Reader ${readers.length} takes over.`,
  );
  readers.push(await startReader(heap, readers.length));
}

async function startReader(heap, number) {
  const worker = await startWorker(heap, "words", { number });
  return { worker, exit: ended(worker) };
}

/** Sends the request with these headers and counts the words of the response; whether all was right. */
export async function countBody(heap, path, headers, size) {
  const times = size === 0 ? 1 : Math.ceil(LEAST / size);
  const total = size * times;
  const often = times === 1 ? "" : `, ${count(times)} times over`;
  say(
    `5. The body of the response${often} goes into one pipe of ${count(CAPACITY / MIB)} MiB; ${READERS} workers take whole words from it and count them in one map.`,
  );
  const [pipe, counts] = [heap.pipe("body", { capacity: CAPACITY }), heap.map("words")];
  const readers = [];
  for (let number = 0; number < READERS; number++) readers.push(await startReader(heap, number));
  const server = await serve(path, times);
  try {
    const { response, seen } = await send(server.address().port, ["Host", "127.0.0.1", ...headers.flat()]);
    const arrived = haveArrived(seen);
    say(`   The server at 127.0.0.1:${server.address().port} saw ${arrived ? "all 5 headers" : "NOT all 5 headers"}.`);
    const bytes = await pump(response, pipe, counts, total, () => replace(heap, readers));
    await Promise.all(readers.map(({ exit }) => exit));
    const read = readers.map((_, number) => counts.get(readBy(number)) ?? 0);
    const shares = read.map((part) => `${Math.round((100 * part) / Math.max(1, bytes))} %`);
    say(
      `   ${count(bytes)} bytes went through; the readers took ${shares.join(", ")}. Most often: ${topWords(counts)}.`,
    );
    say("   The host counts the same alone …");
    const cuts = heap.cell("cuts").get();
    const words = new Map([...counts].filter(([word]) => isWord(word)));
    const same = isSame(words, countAlone(path, times));
    if (cuts > 0) {
      say(`   ${count(cuts)} pieces had no space for the length of the pipe, and their words may be cut in two.`);
    }
    say(
      `   ${count(words.size)} different words, ${same ? "each counted as often by the workers as by the host alone" : cuts > 0 ? "not counted as by the host alone" : "NOT counted as by the host alone"}.`,
    );
    const whole = bytes === total && read.reduce((sum, part) => sum + part, 0) === bytes;
    if (!whole) say(`   BYTES WERE LOST: ${count(total)} were to come.`);
    return arrived && whole && (same || cuts > 0);
  } finally {
    server.close();
    pipe.dispose();
    for (const name of ["body", "words"]) heap.remove(name);
  }
}
