// The main job, so far: agents attach and share a number, reading is measured beside messages, a file is summed in place, and a real
// request is sent whose headers a worker wrote into the heap.
//   node examples/main-job.mjs [file]

import { createReadStream, openSync, readSync } from "node:fs";
import { createServer, request } from "node:http";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

const here = new URL(".", import.meta.url);
const faces = { host: new URL("../js-host/dist/index.js", here), worker: new URL("../js-host/dist/worker.js", here) };
const MIB = 2 ** 20;
const LARGEST_PIECE = 8 * MIB;
const CALLS = 1_000_000;
const MESSAGE_SECONDS = 3;
const STEPS = 1_000_000;
const REQUESTS = 100_000;
const HEADERS = [
  ["Accept", "text/plain"],
  ["User-Agent", "coheap-main-job"],
  ["Accept-Language", "en"],
  ["X-Trace-Id", "7f3a9c"],
  ["Cache-Control", "no-cache"],
];

const say = (text = "") => console.log(text);
const count = (number) => Math.round(number).toLocaleString("en");

/** A time in nanoseconds, in the unit that suits it. */
function time(nanoseconds) {
  for (const [unit, size] of [
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ]) {
    if (nanoseconds >= size) return `${(nanoseconds / size).toFixed(nanoseconds >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${nanoseconds.toFixed(1)} ns`;
}

function openFile(path) {
  try {
    const file = openSync(path);
    readSync(file, Buffer.alloc(1), 0, 1, 0); // a folder opens, but cannot be read
    return file;
  } catch (error) {
    const reasons = { ENOENT: "does not exist", EISDIR: "is a folder", EACCES: "may not be read" };
    console.error(`The file ${path} ${reasons[error.code] ?? `cannot be read (${error.message})`}.`);
    process.exit(1);
  }
}

/** A worker that has attached. */
async function startWorker(heap, task, data = {}) {
  const token = heap.token();
  const worker = new Worker(new URL("./main-job-worker.mjs", import.meta.url), {
    workerData: { ...data, coheap: faces.worker.href, token, task },
  });
  heap.adopt(worker, token);
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  worker.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  return worker;
}

const ended = (worker) => new Promise((resolve) => worker.once("exit", resolve));

async function shareACell(heap) {
  say(
    '1. A worker and the host attach to one heap; the worker fills the cell named "progress", the host reads it meanwhile.',
  );
  const progress = heap.cell("progress");
  const worker = await startWorker(heap, "fill", { steps: STEPS });
  const exit = ended(worker);
  const seen = new Set();
  let reads = 0;
  for (let value = progress.get(); value < STEPS; reads++) {
    seen.add(value);
    if (seen.size % 1000 === 0) await progress.waitAsync(value, { timeout: 1000 });
    value = progress.get();
  }
  say(
    `   The host saw ${count(seen.size)} different numbers in ${count(reads)} reads, up to ${count(progress.get())}.`,
  );
  const answer = heap.cell("answer").waitAsync(0, { timeout: 10_000 });
  heap.cell("question").set(21);
  await answer;
  say(`   The host asked 21, the worker doubled it: ${heap.cell("answer").get()}.`);
  await exit;
  return heap.cell("answer").get() === 42;
}

function readNumbers(heap) {
  say(`2. The founding table: ${count(CALLS)} reads of a number. From the heap …`);
  const cell = heap.cell("number");
  cell.set(1);
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    let sum = 0;
    const begin = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) sum += cell.get();
    const took = Number(process.hrtime.bigint() - begin);
    if (sum !== CALLS) throw new Error(`${CALLS} reads of 1 gave ${sum}`);
    best = Math.min(best, took);
  }
  return best / CALLS;
}

/** The same loop over an object of JavaScript's own: the limit of what any way can reach. */
function readPlain() {
  const boxes = Array.from({ length: 64 }, () => ({ value: 1 }));
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    let sum = 0;
    const begin = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) sum += boxes[i & 63].value;
    const took = Number(process.hrtime.bigint() - begin);
    if (sum !== CALLS) throw new Error("plain reads went wrong");
    best = Math.min(best, took);
  }
  return best / CALLS;
}

async function readByMessages(heap) {
  say(`   … by messages (postMessage, then Atomics.wait for the answer), for ${MESSAGE_SECONDS} seconds …`);
  const flag = new SharedArrayBuffer(8);
  const words = new Int32Array(flag);
  const worker = await startWorker(heap, "echo", { flag });
  let calls = 0;
  let took = 0;
  const begin = process.hrtime.bigint();
  while (took < MESSAGE_SECONDS * 1e9) {
    Atomics.store(words, 0, 0);
    worker.postMessage(calls);
    if (Atomics.wait(words, 0, 0, 10_000) === "timed-out") throw new Error("the worker answers no more");
    calls++;
    took = Number(process.hrtime.bigint() - begin);
  }
  if (Atomics.load(words, 1) !== calls) throw new Error("a message got lost");
  const exit = ended(worker);
  worker.postMessage("stop");
  await exit;
  return { perCall: took / calls, calls };
}

async function sumFile(heap, file, path) {
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

/** Serves the file on loopback, and answers which headers the request had, as they came. */
async function serve(path) {
  const server = createServer(({ rawHeaders }, response) => {
    response.setHeader("X-Request-Headers", encodeURIComponent(JSON.stringify(rawHeaders)));
    createReadStream(path)
      .on("error", (error) => response.destroy(error))
      .pipe(response);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return server;
}

/** Sends the request and answers the headers that the server saw and the bytes of its body, counted and summed. */
function send(port, headers) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, headers, agent: false }, (response) => {
      let [bytes, sum] = [0, 0];
      response.on("error", reject);
      response.on("data", (piece) => {
        bytes += piece.length;
        for (let i = 0; i < piece.length; i++) sum += piece[i];
      });
      response.on("end", () => {
        const raw = JSON.parse(decodeURIComponent(response.headers["x-request-headers"]));
        resolve({ bytes, sum, seen: raw.filter((_, i) => i % 2 === 0).map((name, i) => [name, raw[2 * i + 1]]) });
      });
    });
    outgoing.on("error", reject).end();
  });
}

async function sendRequest(heap, path, expected) {
  say(
    "4. A worker writes a request's 5 headers into the heap; the host reads them there and sends the request to a real server.",
  );
  const worker = await startWorker(heap, "request", { headers: HEADERS });
  await ended(worker);
  const headers = [...heap.fields("request")];
  const server = await serve(path);
  try {
    // As the raw pairs that they are: order and casing arrive as the worker wrote them.
    const { bytes, sum, seen } = await send(server.address().port, ["Host", "127.0.0.1", ...headers.flat()]);
    const arrived = HEADERS.every((line) => seen.some((other) => `${other}` === `${line}`));
    const same = bytes === expected.bytes && sum === expected.sum;
    say(
      `   The server at 127.0.0.1:${server.address().port} saw ${arrived ? "all 5" : "NOT all 5"}, and sent ${count(bytes)} bytes, ${same ? "the same that the workers summed" : "WHICH ARE NOT those of the file"}.`,
    );
    return arrived && same;
  } finally {
    server.close();
  }
}

/** A whole request of 5 headers in the heap: made, its headers set one by one, given up again. */
function setHeaders(heap) {
  say(`   What that costs: ${count(REQUESTS)} requests of 5 headers each through the heap …`);
  let best = Infinity;
  for (let run = 0; run < 10; run++) {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < REQUESTS / 10; i++) {
      const fields = heap.fields();
      for (let line = 0; line < HEADERS.length; line++) fields.set(HEADERS[line][0], HEADERS[line][1]);
      fields.dispose();
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin));
  }
  return best / (REQUESTS / 10);
}

/** The same by messages: a worker has the request, each header is one message and its answer. */
async function setHeadersByMessages(heap) {
  say(`   … and by messages, one for each header, for ${MESSAGE_SECONDS} seconds.`);
  const flag = new SharedArrayBuffer(8);
  const words = new Int32Array(flag);
  const worker = await startWorker(heap, "headers", { flag });
  let requests = 0;
  let took = 0;
  const begin = process.hrtime.bigint();
  while (took < MESSAGE_SECONDS * 1e9) {
    for (const [name, value] of HEADERS) {
      Atomics.store(words, 0, 0);
      worker.postMessage({ request: requests, name, value });
      if (Atomics.wait(words, 0, 0, 10_000) === "timed-out") throw new Error("the worker answers no more");
    }
    requests++;
    took = Number(process.hrtime.bigint() - begin);
  }
  if (Atomics.load(words, 1) !== requests * HEADERS.length) throw new Error("a header got lost");
  const exit = ended(worker);
  worker.postMessage("stop");
  await exit;
  return { perRequest: took / requests, requests };
}

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  rows.forEach((row, i) => {
    say(
      `   ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join("   ")}`,
    );
    if (i === 0) say(`   ${widths.map((width) => "─".repeat(width)).join("   ")}`);
  });
}

const path = process.argv[2] ?? fileURLToPath(new URL("../README.md", here));
const file = openFile(path);
const { SharedHeap } = await import(faces.host.href);
const heap = await SharedHeap.create();

const shared = await shareACell(heap);
const heapRead = readNumbers(heap);
const messages = await readByMessages(heap);
say("   … and from an object of JavaScript's own.");
const plain = readPlain();
const { bytes, sum, own } = await sumFile(heap, file, path);
const requested = await sendRequest(heap, path, { bytes, sum: own });
const heapRequest = setHeaders(heap);
const messageRequest = await setHeadersByMessages(heap);
const stats = await heap.audit();

say();
table([
  ["reading a number", "one call", "a million calls", "the founding document"],
  ["from the heap", time(heapRead), time(heapRead * CALLS), "10 ms"],
  ["by messages", time(messages.perCall), `${time(messages.perCall * CALLS)} (computed)`, "30 s"],
  ["plain JavaScript, the limit", time(plain), time(plain * CALLS), "–"],
]);
say();
table([
  ["a 5-header request", "one request", "the founding document"],
  ["through the heap", time(heapRequest), "0.03005 ms"],
  ["by messages", time(messageRequest.perRequest), "0.18 ms"],
]);
say();
const right = shared && sum === own && requested;
say(
  `   A message takes ${count(messages.perCall / heapRead)} times as long as a read from the heap (${count(messages.calls)} messages really sent).`,
);
say(
  `   A request by messages takes ${count(messageRequest.perRequest / heapRequest)} times as long as through the heap (${count(messageRequest.requests)} requests really made).`,
);
say(`   ${count(bytes)} bytes summed in place by two workers: ${sum === own ? "right" : "WRONG"}.`);
say(
  `   The heap is consistent: ${count(stats.liveBytes)} bytes live, ${count(stats.memoryBytes / MIB)} MiB in all, ${stats.agents === 1 ? "nobody but the host" : `${stats.agents} agents`} attached.`,
);
heap.detach();
if (!right) process.exitCode = 1;
