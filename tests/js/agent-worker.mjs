// An agent in a worker: attaches, then runs the functions that RemoteAgent sends.

import { runInThisContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { everyOperation } from "./every-operation.mjs";
import { attachWithExports } from "./support.mjs";

const { token, face } = workerData;
const heap = face === "worker" ? attach(token) : SharedHeap.attach(token);

// For functions that attach once more, and for those that do everything.
Object.assign(globalThis, { SharedHeap, attach, attachWithExports, everyOperation });

parentPort.on("message", async ({ body, values }) => {
  try {
    parentPort.postMessage({ result: await runInThisContext(`(${body})`)(heap, ...values) });
  } catch (error) {
    parentPort.postMessage({ error: { message: error.message, code: error.code, details: error.details } });
  }
});
parentPort.postMessage({ result: "attached" });
