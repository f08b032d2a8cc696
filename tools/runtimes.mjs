// The runtimes that tests/runtimes runs in besides this Node: where setup.mjs puts them, and tests/runtimes/package.json pins them.

import { join } from "node:path";

/** Relative to the repository. */
export const folder = join(".tools", "runtimes");

const exe = process.platform === "win32" ? ".exe" : "";
const node = (version) => join(folder, "node_modules", `node-${version}`, "bin", `node${exe}`);

/** What is installed, by name. */
export const programs = {
  "node-20": node(20),
  "node-22": node(22),
  "node-24": node(24),
  "node-26": node(26),
  deno: join(folder, "node_modules", "deno", `deno${exe}`),
  bun: join(folder, "node_modules", "bun", "bin", "bun.exe"), // on all systems
};
