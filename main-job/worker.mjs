// A worker of the main job: attaches to the heap and does what it is told.

import { parentPort, workerData } from "node:worker_threads";
import { cutAt, endsWithWhiteSpace, readBy } from "./count-words.mjs";
import { leasePieces } from "./pieces.mjs";

const { coheap, token, task } = workerData;
const { attach } = await import(coheap);
const heap = attach(token);

const tasks = {
  /** Fills a named cell, step by step, and answers the host's number. */
  fill({ steps }) {
    const progress = heap.cell("progress");
    for (let step = 1; step <= steps; step++) progress.set(step);
    heap.cell("question").waitSync(0, 10_000);
    heap.cell("answer").set(heap.cell("question").get() * 2);
  },

  /** The message way: for each message that arrives, one number back and a wake-up. */
  echo({ flag }) {
    const words = new Int32Array(flag);
    parentPort.on("message", (message) => {
      if (message === "stop") {
        heap.detach();
        parentPort.close();
        return;
      }
      Atomics.store(words, 1, Atomics.load(words, 1) + 1);
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
    });
  },

  /** Makes the request: fields of a name, which stay when this worker has ended. */
  request({ headers }) {
    const fields = heap.fields("request");
    for (const [name, value] of headers) fields.append(name, value);
    fields.freeze();
  },

  /** The message way of the same: keeps the requests' headers itself, and answers each message. */
  headers({ flag }) {
    const words = new Int32Array(flag);
    let [current, fields] = [-1, new Headers()];
    parentPort.on("message", (message) => {
      if (message === "stop") {
        heap.detach();
        parentPort.close();
        return;
      }
      if (message.request !== current) [current, fields] = [message.request, new Headers()];
      fields.set(message.name, message.value);
      Atomics.store(words, 1, Atomics.load(words, 1) + 1);
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
    });
  },

  /** Counts the words of the pieces that it gets of the body; a piece that it does not finish is another reader's. */
  words({ number }) {
    const [pipe, counts, isEndless] = [heap.pipe("body"), heap.map("words"), heap.cell("endless")];
    for (const { lease, tally } of leasePieces(pipe, isEndless)) {
      const { bytes, offset } = lease;
      const pairs = [...tally, [readBy(number), bytes.length]];
      if (!endsWithWhiteSpace(bytes)) pairs.push([cutAt(Number(offset) + bytes.length), 1]);
      // All counts and the commit are one step: no piece is counted twice, whatever happens to this worker.
      counts.addMany(pairs, { settle: lease });
    }
  },

  /** Sums its half of each piece of the file, in place, until the host says that there are no more pieces. */
  sum({ part, parts }) {
    const block = heap.open(workerData.block);
    const [piece, length, done] = [heap.cell("piece"), heap.cell("length"), heap.cell(`done ${part}`)];
    const total = heap.cell("total");
    for (let number = 0; ; ) {
      piece.waitSync(number);
      number = piece.get();
      if (number < 0) return;
      const size = length.get();
      const from = Math.floor((size * part) / parts);
      const to = Math.floor((size * (part + 1)) / parts);
      total.add(block.sum(from, to - from));
      done.set(number);
    }
  },
};

parentPort.postMessage("attached");
tasks[task](workerData);
if (task !== "echo" && task !== "headers") heap.detach();
