// `npm run bench`: sets up, builds and runs the benches; they bring their peers themselves.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build } from "./build.mjs";
import { root } from "./process.mjs";
import { setupStart } from "./setup.mjs";

await setupStart();
await build();
const bench = spawnSync(process.execPath, [join(root, "benches", "run.mjs"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
process.exit(bench.status ?? 1);
