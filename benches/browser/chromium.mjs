// Chromium over a server on the loopback that sets the two headers that shared memory needs.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { root } from "../setup.mjs";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

async function serve() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    try {
      if (!/^\/(benches|js-host\/dist)\//.test(path)) throw new Error("not served");
      const bytes = await readFile(join(root, path));
      response.writeHead(200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cache-control": "no-store",
      });
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Posts `data` to contest.worker.mjs in a blank page, with these flags of V8; answers `{ result, engine }`. */
export async function inWorker(data, flags = []) {
  const { chromium } = createRequire(join(root, "js-host", "package.json"))("playwright-core");
  const server = await serve();
  const args = ["--no-sandbox", ...(flags.length > 0 ? [`--js-flags=${flags.join(" ")}`] : [])];
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args }).catch((error) => {
    server.close();
    throw new Error(`Chromium did not start: ${error.message.split("\n")[0]}`);
  });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${server.address().port}/benches/browser/blank.html`);
    const { result, error } = await tab.evaluate(
      (data) =>
        new Promise((resolve) => {
          const worker = new Worker("/benches/browser/contest.worker.mjs", { type: "module" });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = ({ message }) => resolve({ error: message ?? "the worker did not start" });
          worker.postMessage(data);
        }),
      data,
    );
    if (error) throw new Error(error);
    return { result, engine: `Chromium ${browser.version()}` };
  } finally {
    await browser.close();
    server.close();
    server.closeAllConnections();
  }
}
