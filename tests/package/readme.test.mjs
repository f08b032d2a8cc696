// The README's blocks of JavaScript and TypeScript: run as they stand, in a user's project, and checked by TypeScript.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { transformSync } from "esbuild";
import { root } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";
import { must, project, tsc } from "./support.mjs";

watchdog(180);

const page = `
  import { SharedHeap } from "coheap";
  export const heap = await SharedHeap.create();`;
const thread = `
  import { SharedHeap } from "coheap";
  import { attach } from "coheap/worker";
  export const heap = attach((await SharedHeap.create()).token());`;

/** What the text around a block has told of, by how the block begins: a module whose exports it has. */
const given = {
  "const state =": page,
  "const words =": page,
  "const sessions =": `export type { SharedMap } from "coheap"; ${page}`,
  "const log =": page,
  "await response.body?": `${page}
    export const response = new Response("a\\nb\\n");`,
  'const pipe = heap.pipe("body"); // in any': `${thread}
    heap.pipe("body").writeSync("a\\nb\\nrest");
    heap.pipe("body").close();
    export const work = (line: Uint8Array) => line.length;`,
  'heap.map<string, number>("words").addMany': `${thread}
    const pipe = heap.pipe();
    pipe.writeSync("the\\n");
    export const lease = pipe.leaseSync()!;
    export const tally = new Map([["the", 1]]);`,
  "heap.adopt(worker, token": `${page}
    import { Worker } from "node:worker_threads";
    export const token = heap.token();
    export const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: token });`,
  "const fields = heap.fields([[": `${thread}
    export const postMessage = (message: unknown) => structuredClone(message);`,
  "const fields = heap.open(": `${page}
    export const handle = heap.fields([["Accept", "text/html"]]).move();
    export const url = "data:,";`,
};

let folder;
const blocks = [];
before(async () => {
  folder = await project("readme");
  const readme = readFileSync(join(root, "README.md"), "utf8");
  for (const [, language, text] of readme.matchAll(/^```(js|ts)\n(.*?)^```$/gms)) {
    const name = /^\/\/ (\w+)\.mjs$/m.exec(text)?.[1] ?? `block-${blocks.length}`;
    blocks.push({ name, language, text });
    const stands = /^import /m.test(text);
    const beginning = Object.keys(given).find((beginning) => text.startsWith(beginning));
    assert.notEqual(stands, beginning !== undefined, `what is around this block?\n${text}`);
    let head = "";
    if (!stands) {
      const context = `given-${name}`;
      writeFileSync(join(folder, `${context}.mts`), given[beginning]);
      const names = [...given[beginning].matchAll(/export const (\w+)/g)].map(([, name]) => name);
      const types = [...given[beginning].matchAll(/export type \{ (\w+) \}/g)].map(([, name]) => `type ${name}`);
      head = `import { ${[...names, ...types].join(", ")} } from "./${context}.mjs";\n`;
    }
    writeFileSync(join(folder, `${name}.${language === "js" ? "mjs" : "mts"}`), head + text);
  }
  const starts = Object.keys(given).filter((start) => !blocks.some(({ text }) => text.startsWith(start)));
  assert.deepEqual(starts, [], "blocks that the README has");
});

test("readme_blocks_are_of_the_types_that_the_package_has", async () => {
  const files = blocks.map(({ name, language }) => `${name}.${language === "js" ? "mjs" : "mts"}`);
  const compilerOptions = {
    ...{ module: "nodenext", target: "esnext", lib: ["esnext", "dom", "dom.iterable"], types: [] },
    ...{ strict: true, noEmit: true, allowJs: true, checkJs: true },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ files: ["node.d.ts", ...files], compilerOptions }));
  await must(folder, process.execPath, tsc, "--pretty", "false", "-p", folder);
  cases("readme_blocks_are_of_the_types_that_the_package_has", blocks.length);
});

test("readme_quick_start_counts_to_what_it_says", async () => {
  const [host] = blocks;
  const said = /\/\/ (\d+)$/m.exec(host.text)[1];
  assert.equal(await must(folder, process.execPath, "host.mjs"), `${said}\n`);
});

test("readme_blocks_run_to_their_end", async () => {
  let count = 0;
  const module = (name) => {
    const text = readFileSync(join(folder, `${name}.mts`), "utf8");
    const { code } = transformSync(text, { loader: "ts", format: "esm", target: "node20" });
    writeFileSync(join(folder, `${name}.mjs`), code);
  };
  for (const { name, language, text } of blocks) {
    if (/^import /m.test(text)) continue;
    module(`given-${name}`);
    if (language === "ts") module(name);
    await must(folder, process.execPath, `${name}.mjs`);
    count++;
  }
  cases("readme_blocks_run_to_their_end", count);
});
