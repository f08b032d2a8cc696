// Formatting and lints of everything: `npm run check`. Shows all that is wrong, not only the first.

import { join } from "node:path";
import { root, run, say } from "./process.mjs";
import { setupCheck } from "./setup.mjs";

const biome = join(root, "node_modules", ".bin", "biome");
const tsc = join(root, "node_modules", ".bin", "tsc");
const clippy = ["cargo", "clippy", "--quiet"];
const testFeatures = ["coheap-alloc/fault-points", "coheap-alloc/controls", "coheap/fault-points", "coheap/controls"];

/** Programs outside the workspace, as users' are. */
const programs = [
  "examples/imported",
  "examples/through-js",
  "examples/embedded",
  "tests/ways/imported",
  "tests/embedded/program",
  "tests/wasm-pack",
  "fuzz",
];

await setupCheck();
const checks = [
  ["Rust formatting", ["cargo", "fmt", "--all", "--check"]],
  ...programs.map((folder) => [
    `Rust formatting of ${folder}`,
    ["cargo", "fmt", "--check", "--manifest-path", `${folder}/Cargo.toml`],
  ]),
  ["JavaScript formatting and lints", [biome, "ci", "--colors=off"]],
  ["types", [tsc, "--noEmit", "--project", "js-host"]],
  [
    "Rust lints, with the tests",
    [...clippy, "--workspace", "--all-targets", "--features", testFeatures.join(","), "--", "-D", "warnings"],
  ],
  [
    "Rust lints, as shipped",
    [...clippy, "-p", "coheap-wasm", "--target", "wasm32-unknown-unknown", "--", "-D", "warnings"],
  ],
  [
    "Rust lints, for programs",
    [
      ...clippy,
      "-p",
      "coheap",
      "--features",
      "imported,js",
      "--target",
      "wasm32-unknown-unknown",
      "--",
      "-D",
      "warnings",
    ],
  ],
];

let failed = 0;
for (const [title, command] of checks) {
  const result = await run(title, command, { limitMinutes: 15 });
  say(`${title}: ${result.code === 0 ? "clean" : "NOT clean"}, ${result.minutes.toFixed(1)} min`);
  if (result.code === 0) continue;
  failed += 1;
  process.stdout.write(result.output);
  process.stderr.write(result.errors);
}
process.exit(failed === 0 ? 0 : 1);
