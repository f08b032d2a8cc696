// A page of its own for each test: a static server with the headers that isolate it, and headless Chromium.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const types = {
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

/** Serves the files below `folder` and, as "/", the text `page`. */
export async function serve(folder, page, { isolated = true } = {}) {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    if (isolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    try {
      const body = pathname === "/" ? page : await readFile(join(folder, normalize(pathname)));
      response.setHeader("Content-Type", types[extname(pathname)] ?? "text/html");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Then a page is given up, milliseconds. No test's own limit is shorter. */
const LIMIT = 240_000;

/** Hands a fresh tab of headless Chromium to `use`. One that does not come to its end is closed, and says what it did last: `globalThis.doing`. */
export async function inTab(use) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => console.log(`in the page: ${error.stack}`));
    return await Promise.race([use(tab), end(tab)]);
  } finally {
    await browser.close();
  }
}

/** Throws, once the time is over. */
async function end(tab) {
  await sleep(LIMIT, undefined, { ref: false });
  const silence = sleep(5_000, "nothing: it does not answer", { ref: false });
  const doing = await Promise.race([tab.evaluate(() => String(globalThis.doing)), silence]);
  throw new Error(`the page did not come to its end; it did ${doing}`);
}

/** Hands the tab of a fresh page to `use`; the page has `start(heap)`, which starts an agent in a worker. */
export async function onPage(use, { isolated = true } = {}) {
  const server = await serve(root, "<!doctype html><meta charset=utf-8><title>coheap</title>", { isolated });
  try {
    return await inTab(async (tab) => {
      await tab.goto(`http://127.0.0.1:${server.address().port}/`);
      await tab.evaluate(giveStart);
      return await use(tab);
    });
  } finally {
    server.close();
  }
}

/** Runs `body(value)` in such a page and answers its result. */
export async function inPage(body, value, options) {
  return await onPage((tab) => tab.evaluate(body, value), options);
}

function giveStart() {
  globalThis.start = async (heap, { adopt = true, locks = true, pipes = [] } = {}) => {
    const search = locks ? "" : "?without-locks";
    const worker = new Worker(`/tests/browser/agent-worker.mjs${search}`, { type: "module" });
    const answer = () =>
      new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data), { once: true }));
    const attached = answer();
    worker.postMessage(adopt ? heap.adopt(worker, undefined, { pipes }) : heap.token());
    await attached;
    return {
      thread: worker,
      run: async (body, ...values) => {
        const result = answer();
        worker.postMessage({ body: String(body), values });
        const { error, value } = await result;
        if (error !== undefined) throw new Error(error);
        return value;
      },
    };
  };
}
