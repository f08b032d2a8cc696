// The package as users get it: packed, and installed into a folder of its own outside the repository.

import assert from "node:assert/strict";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { root, run } from "../../tools/process.mjs";

const consumers = fileURLToPath(new URL("consumer/", import.meta.url));
const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
/** TypeScript's compiler, for Node. */
export const tsc = join(dirname(typescript), JSON.parse(readFileSync(typescript, "utf8")).bin.tsc);
const npm = process.platform === "win32" ? "npm.cmd" : "npm";

// What `npm test` tells the commands that it runs is not meant for a user's project.
const ownEnvironment = Object.keys(process.env).filter((name) =>
  /^(npm_|NODE_TEST_CONTEXT$|NODE_OPTIONS$)/i.test(name),
);
const env = Object.fromEntries(ownEnvironment.map((name) => [name, undefined]));

/** Runs a command in a folder; it must succeed. Answers what it printed. */
export async function must(folder, ...command) {
  const result = await run(command.join(" "), command, { cwd: folder, env, limitMinutes: 2 });
  const why = result.timedOut ? "took more than 2 minutes" : `ended with code ${result.code}`;
  assert.equal(result.code, 0, `${command.join(" ")} ${why}\n${result.output}${result.errors}`);
  return result.output;
}

/** A fresh folder outside the repository, gone when this process ends. */
export function freshFolder() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "coheap-package-")));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  assert.match(relative(realpathSync(root), folder), /^\.\.|^[a-z]:/i, "the folder must lie outside the repository");
  return folder;
}

let tarball;

/** The packed package: its file. */
export async function packed() {
  if (tarball === undefined) {
    const folder = freshFolder();
    // Without scripts: `npm test` has built what is there, and no test may build beside others.
    await must(join(root, "js-host"), npm, "pack", "--ignore-scripts", "--pack-destination", folder);
    const [file, ...others] = readdirSync(folder);
    assert.deepEqual([file?.endsWith(".tgz"), others], [true, []]);
    tarball = join(folder, file);
  }
  return tarball;
}

/** The files of a packed package with their contents, by path, in order. Reads the archive by itself. */
export function filesOf(file) {
  const bytes = gunzipSync(readFileSync(file));
  const files = new Map();
  for (let at = 0; bytes[at] !== 0; ) {
    const text = (from, length) => bytes.toString("utf8", at + from, at + from + length).split("\0")[0];
    const size = Number.parseInt(text(124, 12), 8);
    const name = [text(345, 155), text(0, 100)].filter((part) => part !== "").join("/");
    assert.match(text(156, 1), /^0?$/, `${name}: only plain files`);
    assert.match(name, /^package\//);
    files.set(name.slice("package/".length), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A user's project: a fresh folder with the package installed and the files of consumer/`name`. */
export async function project(name) {
  const folder = freshFolder();
  writeFileSync(
    join(folder, "package.json"),
    `${JSON.stringify({ name: "consumer", version: "1.0.0", private: true })}\n`,
  );
  const flags = ["--offline", "--no-audit", "--no-fund", "--cache", join(folder, ".npm")];
  await must(folder, npm, "install", ...flags, await packed());
  assert.deepEqual(
    readdirSync(join(folder, "node_modules")).filter((file) => !file.startsWith(".")),
    ["coheap"],
  );
  const installed = join(folder, "node_modules", "coheap");
  assert.equal(realpathSync(installed), installed, "installed as files, not as a link");
  cpSync(join(consumers, name), folder, { recursive: true });
  cpSync(join(consumers, "exchange.mjs"), join(folder, "exchange.mjs"));
  return folder;
}

/** How the heap gets heap.wasm: the text of wasm.mjs. */
export const ways = {
  beside: "export const options = {};\n",
  inline: `import { wasm } from "coheap/inline";\nexport const options = { wasm };\n`,
  file: `import path from "coheap/heap.wasm";\nexport const options = { wasm: new URL(path, import.meta.url) };\n`,
};

/** What each consumer answers: what the worker read of what the host wrote, and what the host read then. */
export const expected = {
  read: {
    text: "from the host: ✓ é",
    number: 41,
    fields: [
      ["Accept", "text/html"],
      ["X-Trace-Id", "7f3a"],
      ["Accept", "text/plain"], // in the casing in which the name came first
    ],
    bytes: [1, 2, 3, 250],
  },
  number: 42,
  agents: 2,
};

/** Every file below a folder, relative to it. */
export function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}

/** Writes a file of a project, with the folders that it needs. */
export function write(folder, path, text) {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), text);
}
