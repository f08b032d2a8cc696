// Workers, and what they are asked. Runs in Node and in browsers.

/** Whether this is Node, and not a page's worker. */
export const inNode = typeof process === "object";

const { Worker, parentPort: port = self } = inNode ? await import("node:worker_threads") : globalThis;
const [on, off] = inNode ? ["on", "off"] : ["addEventListener", "removeEventListener"];

/** What a worker says next. */
export function answer(worker) {
  return new Promise((resolve, reject) => {
    const settle = (done) => (value) => {
      worker[off]("message", onMessage);
      worker[off]("error", onError);
      done(value);
    };
    const onMessage = settle((value) => resolve(inNode ? value : value.data));
    const onError = settle(({ message }) => reject(new Error(message)));
    worker[on]("message", onMessage);
    worker[on]("error", onError);
  });
}

/** Posts a question; what the worker says next answers it. */
export function ask(worker, question) {
  const answered = answer(worker);
  worker.postMessage(question);
  return answered;
}

/** Starts the worker of that file, and asks it a first question. */
export async function startWorker(file, question) {
  const worker = new Worker(new URL(file, import.meta.url), { type: "module" });
  await ask(worker, question);
  return worker;
}

/** In a worker: hands each question to `handle`, which has `tell` for the answer. What it throws is the failure of who asked. */
export function receive(handle) {
  const tell = (value) => port.postMessage(value);
  port[on]("message", (message) => handle(inNode ? message : message.data, tell));
  // Of an asynchronous one, only Node tells by itself.
  if (!inNode) self.onunhandledrejection = ({ reason }) => self.reportError(reason);
}
