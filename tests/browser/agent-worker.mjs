// An agent in a worker of a page: attaches by the first message, then runs the functions that it is sent.

import { attach } from "/js-host/dist/worker.js";

let heap;

addEventListener("message", async ({ data }) => {
  if (heap === undefined) {
    heap = attach(data);
    postMessage("attached");
    return;
  }
  try {
    const body = new Function(`return (${data.body})`)();
    postMessage({ value: await body(heap, ...data.values) });
  } catch (error) {
    postMessage({ error: error.stack });
  }
});
