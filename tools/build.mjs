// Builds heap.wasm and the npm package into js-host/dist; with --controls also the test build with the seeded bugs.
//   node tools/build.mjs [--controls]

import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { giveUp, must, root, say } from "./process.mjs";
import { hashOf, once } from "./stamp.mjs";

const { target } = JSON.parse(readFileSync(new URL("versions.json", import.meta.url), "utf8"));

/** Where the module goes, for users and for tests/controls. */
export const shippedModule = "js-host/dist/heap.wasm";
export const controlsModule = "tests/build/heap.controls.wasm";
/** What the linker made of the shipped module, with line tables, for tests/frozen. */
export const linkedModule = "tests/build/heap.linked.wasm";

/** What the package's exports name, for `import` and for `require`. */
export const packageFiles = ["index", "worker", "devtools", "inline"].flatMap((face) =>
  [".js", ".cjs", ".d.ts", ".d.cts"].map((ending) => `js-host/dist/${face}${ending}`),
);

/** Texts of the repository that go with the package. */
const texts = ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"];

const rustSources = ["allocator", "collections", "bindings", "tools/src", "tools/Cargo.toml"];
const cargoFiles = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "tools/build.mjs"];

/**
 * Only heap.wasm is built with these: other Rust programs for the same target (wasm-pack's tests) must link the
 * prebuilt std, which refuses a shared memory, so they cannot stand in .cargo/config.toml.
 */
export const heapFlags = [
  "-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals,+simd128",
  "-Clink-arg=--shared-memory",
  "-Clink-arg=--import-memory",
  "-Clink-arg=--max-memory=4294967296",
  "-Clink-arg=-zstack-size=65536",
  "-Clink-arg=--export=__stack_pointer",
  "-Clink-arg=--export=__heap_base",
  // The post-link step leaves these out; the code is the same with them.
  "-Cdebuginfo=1",
  "-Cstrip=none",
];

/** `keep`: where what the linker made goes, too. */
async function buildModule(output, features, keep) {
  const name = output.split("/").at(-1);
  const linked = `target/${target}/release/coheap_wasm.wasm`;
  const compiler = (await must("rustc --version", ["rustc", "-vV"])).output;
  const hash = hashOf([...rustSources, ...cargoFiles], [compiler, ...features].join("\n"));
  const outputs = keep === undefined ? [output] : [output, keep];
  const built = await once(name, hash, outputs, async () => {
    say(`${name} …`);
    const cargo = ["cargo", "rustc", "--release", "-p", "coheap-wasm", "--crate-type", "cdylib"];
    cargo.push("--target", target, "--target-dir", "target");
    if (features.length > 0) cargo.push("--features", features.join(","));
    const env = { CARGO_ENCODED_RUSTFLAGS: heapFlags.join("\x1f"), RUSTFLAGS: undefined };
    await must(`cargo build of ${name}`, cargo, { env, limitMinutes: 10 });
    mkdirSync(dirname(join(root, output)), { recursive: true });
    const postLink = ["cargo", "run", "-p", "coheap-tools", "--target-dir", "target", "--bin", "post-link", "--"];
    await must(`post-link of ${name}`, [...postLink, linked, output], { limitMinutes: 10 });
    if (!existsSync(join(root, output))) giveUp(`The post-link step wrote no ${output}.`);
    if (keep === undefined) return;
    mkdirSync(dirname(join(root, keep)), { recursive: true });
    copyFileSync(join(root, linked), join(root, keep));
  });
  const bytes = statSync(join(root, output)).size;
  say(`${name}: ${bytes.toLocaleString("en")} bytes${built ? "" : ", unchanged"}`);
}

async function buildPackage() {
  const own = ["src", "build.mjs", "package.json", "tsconfig.json"].map((name) => `js-host/${name}`);
  const tables = ["errors.json", "layout.json", "tsconfig.base.json", "package-lock.json"];
  const products = [shippedModule, ...packageFiles, ...texts.map((name) => `js-host/${name}`)];
  await once("js-host", hashOf([...own, ...tables, ...texts, shippedModule]), products, async () => {
    say("js-host …");
    await must("the build of js-host", [process.execPath, "js-host/build.mjs"], { limitMinutes: 5 });
    if (!existsSync(join(root, shippedModule))) giveUp(`js-host/build.mjs removed ${shippedModule}.`);
  });
}

/** Everything users get; `controls`: also what tests/controls runs. */
export async function build({ controls = false } = {}) {
  await buildModule(shippedModule, [], linkedModule);
  await buildPackage();
  if (controls) await buildModule(controlsModule, ["controls"]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build({ controls: process.argv.includes("--controls") });
}
