// An agent in a worker of a page: attaches by the first message, then runs the functions that it is sent.

import { attach } from "/js-host/dist/worker.js";

// As in a browser that has none.
if (location.search === "?without-locks") Object.defineProperty(navigator, "locks", { value: undefined });

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
