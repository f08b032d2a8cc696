// A request whose headers a worker wrote into the heap, and what that costs beside messages.

import { count, ended, MESSAGE_SECONDS, RUNS, say, startWorker, timeMessages, timeSteps } from "./support.mjs";

const REQUESTS = 100_000;
const HEADERS = [
  ["Accept", "text/plain"],
  ["User-Agent", "coheap-main-job"],
  ["Accept-Language", "en"],
  ["X-Trace-Id", "7f3a9c"],
  ["Cache-Control", "no-cache"],
];

/** The headers that a worker wrote into the heap. */
export async function writeHeaders(heap) {
  say(
    "4. A worker writes a request's 5 headers into the heap; the host reads them there and sends the request to a real server.",
  );
  const worker = await startWorker(heap, "request", { headers: HEADERS });
  await ended(worker);
  return [...heap.fields("request")];
}

/** Whether all of them are among what the server saw. */
export const haveArrived = (seen) => HEADERS.every((line) => seen.some((other) => `${other}` === `${line}`));

/** A whole request of 5 headers in the heap: made, its headers set one by one, given up again. */
export function setHeaders(heap) {
  say(`   What that costs: ${count(REQUESTS)} requests of 5 headers each through the heap …`);
  return timeSteps(REQUESTS / RUNS, (requests) => {
    for (let i = 0; i < requests; i++) {
      const fields = heap.fields();
      for (let line = 0; line < HEADERS.length; line++) fields.set(HEADERS[line][0], HEADERS[line][1]);
      fields.dispose();
    }
  });
}

/** The same by messages: a worker has the request, each header is one message and its answer. */
export async function setHeadersByMessages(heap) {
  say(`   … and by messages, one for each header, for ${MESSAGE_SECONDS} seconds.`);
  const flag = new SharedArrayBuffer(8);
  const words = new Int32Array(flag);
  const worker = await startWorker(heap, "headers", { flag });
  const { perStep: perRequest, steps: requests } = timeMessages((request) => {
    for (const [name, value] of HEADERS) {
      Atomics.store(words, 0, 0);
      worker.postMessage({ request, name, value });
      if (Atomics.wait(words, 0, 0, 10_000) === "timed-out") throw new Error("the worker answers no more");
    }
  });
  if (Atomics.load(words, 1) !== requests * HEADERS.length) throw new Error("a header got lost");
  const exit = ended(worker);
  worker.postMessage("stop");
  await exit;
  return { perRequest, requests };
}
