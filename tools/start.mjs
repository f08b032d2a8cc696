// `npm start [file]`: sets up, builds and runs the main job.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "./build.mjs";
import { giveUp, root } from "./process.mjs";
import { setupStart } from "./setup.mjs";

// npm runs scripts in the repository's folder; a file is meant from where the user stands.
const from = process.env.INIT_CWD ?? process.cwd();
const files = process.argv.slice(2).map((file) => resolve(from, file));
if (files.length > 1) giveUp("npm start takes one file at most.");
for (const file of files) {
  if (!existsSync(file)) giveUp(`There is no file ${file}.`);
}

await setupStart();
await build();
const job = spawnSync(process.execPath, [join(root, "main-job", "main.mjs"), ...files], { stdio: "inherit" });
process.exit(job.status ?? 1);
