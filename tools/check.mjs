// Formatting and lints of everything: `npm run check`. Shows all that is wrong, not only the first.

import { join } from "node:path";
import { root, run, say } from "./process.mjs";
import { setupCheck } from "./setup.mjs";

const biome = join(root, "node_modules", ".bin", "biome");
const tsc = join(root, "node_modules", ".bin", "tsc");
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
  "benches",
];

const wasm = ["--target", "wasm32-unknown-unknown"];
const models = ["--profile", "models", "-p", "coheap-alloc"];
const benches = ["--manifest-path", "benches/Cargo.toml", "--target-dir", "target/benches"];

const without = (...names) => ["--workspace", ...names.flatMap((name) => ["--exclude", name])];

/** Clippy of what these arguments name; `cfg`: as a model checker sees it. */
function lints(title, what, { cfg } = {}) {
  const env = cfg === undefined ? {} : { RUSTFLAGS: `--cfg ${cfg}`, CARGO_TARGET_DIR: join(root, "target", cfg) };
  return [`Rust lints, ${title}`, ["cargo", "clippy", "--quiet", ...what, "--", "-D", "warnings"], env];
}

await setupCheck();
const checks = [
  ["Rust formatting", ["cargo", "fmt", "--all", "--check"]],
  ...programs.map((folder) => [
    `Rust formatting of ${folder}`,
    ["cargo", "fmt", "--check", "--all", "--manifest-path", `${folder}/Cargo.toml`],
  ]),
  ["JavaScript formatting and lints", [biome, "ci", "--colors=off"]],
  ["types", [tsc, "--noEmit", "--project", "js-host"]],
  lints("with the tests", ["--workspace", "--all-targets", "--features", testFeatures.join(",")]),
  lints("as shipped", ["-p", "coheap-wasm", ...wasm]),
  lints("for programs", ["-p", "coheap", "--features", "imported,js", ...wasm]),
  // Natively: for WebAssembly this feature takes a nightly, which the tests bring without clippy.
  lints("for embedded programs", ["-p", "coheap-wasm", "--features", "embedded"]),
  // As tests/suites.json builds them, and in the same folders.
  lints("under loom", [...models, "--test", "loom"], { cfg: "loom" }),
  lints("under shuttle", [...models, "-p", "coheap", "--features", "coheap/std,coheap/controls", "--test", "shuttle"], {
    cfg: "shuttle",
  }),
  // But for the peer in C, whose compiler the bench brings, and what takes its nightly.
  lints("of the benches", [...benches, ...without("peer-mimalloc", "peer-wasm-bindgen", "bench-program"), ...wasm]),
  lints("of the benches' program", [...benches, "-p", "bench-program"]),
  lints("of the fuzz targets", ["--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz-lints"]),
];

let failed = 0;
for (const [title, command, env] of checks) {
  const result = await run(title, command, { env, limitMinutes: 15 });
  say(`${title}: ${result.code === 0 ? "clean" : "NOT clean"}, ${result.minutes.toFixed(1)} min`);
  if (result.code === 0) continue;
  failed += 1;
  process.stdout.write(result.output);
  process.stderr.write(result.errors);
}
process.exit(failed === 0 ? 0 : 1);
