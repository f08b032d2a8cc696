// Builds what the rows need, when a row asks for it, and nothing twice.

import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, heapFlags, shippedModule } from "../tools/build.mjs";
import { run, say } from "../tools/process.mjs";
import { installNightly, installWasmBindgen } from "../tools/setup.mjs";
import { hashOf, once } from "../tools/stamp.mjs";

export const here = dirname(fileURLToPath(import.meta.url));
export const root = dirname(here);

const { nightly, target: TARGET } = JSON.parse(readFileSync(join(root, "tools", "versions.json"), "utf8"));
const ZIG = "0.17.0";
/** The last commit at which the heap was whole and nothing in it ended what the dead left. */
const FOUNDATION = "edfa039";
const LIMIT_MINUTES = 10;
const NPM = process.platform === "win32" ? "npm.cmd" : "npm";
const PEERS = "benches/node_modules";
const IN_PAGES = ["@bnaya/objectbuffer", "multithreading", "shared-memory-datastructures", "sharedmap"];
/** What wasm-bindgen looks for in a module over a shared memory. */
const THREADS = ["__wasm_init_tls", "__tls_size", "__tls_align", "__tls_base"].map((name) => `--export=${name}`);

/** Runs a command to its end; throws with the first error that it printed. */
export async function must(title, command, options = {}) {
  say(`  ${title} …`);
  const result = await run(title, command, { cwd: here, limitMinutes: LIMIT_MINUTES, ...options });
  if (result.code === 0) return result.output;
  const why = result.timedOut ? `took more than ${LIMIT_MINUTES} minutes` : `ended with code ${result.code}`;
  const lines = result.errors.trim().split("\n");
  throw new Error(`${command[0]} ${why}: ${lines.find((line) => line.startsWith("error")) ?? lines.at(-1)}`);
}

/** Compiles a crate of this workspace; answers the linked module. Cargo itself does nothing twice. */
async function compile(title, crate, options = {}) {
  const { cargo = ["cargo"], features = [], within = features, linkArguments = [], env } = options;
  const folder = join(here, "target", ...within);
  const command = [...cargo, "build", "--release", "--target", TARGET, "--target-dir", folder, "-p", crate];
  if (features.length > 0) command.push("--features", features.join(","));
  const flags = [...heapFlags, ...linkArguments.map((argument) => `-Clink-arg=${argument}`)];
  await must(title, command, { env: { CARGO_ENCODED_RUSTFLAGS: flags.join("\x1f"), RUSTFLAGS: undefined, ...env } });
  return join(folder, TARGET, "release", `${crate.replaceAll("-", "_")}.wasm`);
}

/** coheap under the workloads, through the same post-link step as heap.wasm. */
async function ours(name, features) {
  const linked = await compile(`${name}, with the workloads`, "bench-heap", { features });
  const output = join(here, "target", `${name}.wasm`);
  const postLink = ["cargo", "run", "-p", "coheap-tools", "--target-dir", "target", "--bin", "post-link", "--"];
  await must(`post-link of ${name}`, [...postLink, linked, output], { cwd: root });
  return output;
}

/** The threaded program with one of its allocators; its settings are those of the example of such programs. */
async function program(name, features) {
  const missing = await installNightly();
  if (missing) throw new Error(missing);
  const linked = await compile(`${name}, std from source`, "bench-program", {
    cargo: ["cargo", `+${nightly}`, "--config", join(root, "examples", "embedded", ".cargo", "config.toml")],
    features,
    // One folder for both allocators, so that std is built once.
    within: ["program"],
    env: { CARGO_ENCODED_RUSTFLAGS: undefined },
  });
  const output = join(here, "target", `${name}.wasm`);
  copyFileSync(linked, output);
  return output;
}

/** zig's C compiler, from PyPI. */
async function zig() {
  const folder = join(here, ".tools", `zig-${ZIG}`);
  const compiler = join(folder, "ziglang", process.platform === "win32" ? "zig.exe" : "zig");
  if (!existsSync(compiler)) {
    const install = ["python3", "-m", "pip", "install", "--quiet", "--target", folder, `ziglang==${ZIG}`];
    await must(`zig ${ZIG} for mimalloc's C source, 100 MB, once`, install);
  }
  return compiler;
}

/** Where cargo keeps the unpacked source of a locked dependency. */
async function sourceOf(crate) {
  const command = ["cargo", "metadata", "--format-version", "1"];
  const { packages } = JSON.parse(await must(`the source of ${crate}`, command));
  return dirname(packages.find(({ name }) => name === crate).manifest_path);
}

async function mimalloc() {
  const output = join(here, "target", "mimalloc.wasm");
  const sources = ["benches/setup.mjs", "benches/peers/mimalloc", "benches/Cargo.lock"];
  await once("mimalloc.wasm", hashOf(sources), ["benches/target/mimalloc.wasm"], async () => {
    const source = join(await sourceOf("libmimalloc-sys"), "c_src", "mimalloc", "v2");
    const command = [
      ...[await zig(), "cc", "-target", "wasm32-wasi", "-mcpu=generic+atomics+bulk_memory", "-mexec-model=reactor"],
      ...["-O3", "-DNDEBUG", "-s", "-Wno-date-time", `-I${join(source, "include")}`],
      ...[join(source, "src", "static.c"), join(here, "peers", "mimalloc", "harness.c")],
      "-Wl,--import-memory,--shared-memory,--max-memory=4294901760,-z,stack-size=65536",
      "-Wl,--export=__stack_pointer,--export=__wasm_init_tls",
      ...["-o", output],
    ];
    mkdirSync(dirname(output), { recursive: true });
    await must("mimalloc, with zig cc", command);
  });
  return output;
}

const builders = {
  coheap: () => ours("coheap", []),
  uncoloured: () => ours("uncoloured", ["uncoloured"]),
  talc: () => compile("talc behind a spin lock", "peer-talc"),
  dlmalloc: () => compile("dlmalloc behind a test-and-set lock", "peer-dlmalloc"),
  mimalloc,
  "program-coheap": () => program("program-coheap", ["coheap"]),
  "program-std": () => program("program-std", []),
};

let glue;

async function buildGlue() {
  const crate = "peer-wasm-bindgen";
  // The one crate that asks for an unstable feature; a nightly that compiles std anew is what its users take.
  const env = { RUSTC_BOOTSTRAP: crate.replaceAll("-", "_") };
  const linked = await compile("strings through wasm-bindgen", crate, { linkArguments: THREADS, env });
  const program = await installWasmBindgen(must);
  const output = join(here, "target", "wasm-bindgen");
  await must("wasm-bindgen's glue", [program, "--target", "web", "--no-typescript", "--out-dir", output, linked]);
}

/** wasm-bindgen's glue over a shared memory, in target/wasm-bindgen. */
export function wasmBindgenGlue() {
  glue ??= buildGlue();
  return glue;
}

let peers;

async function installOnce() {
  const manifests = ["benches/package.json", "benches/package-lock.json"];
  await once("bench-peers", hashOf(manifests, `${process.platform} ${process.arch}`), [PEERS], () =>
    must("npm ci, the peers from npm and a newer Node, 240 MB, once", [NPM, "ci", "--no-audit", "--no-fund"]),
  );
}

/** The peers from npm that benches/package.json names. */
export function installPeers() {
  peers ??= installOnce();
  return peers;
}

let bundled;

async function bundleOnce() {
  await installPeers();
  const { build: bundle } = createRequire(join(root, "js-host", "package.json"))("esbuild");
  const options = { bundle: true, format: "esm", logLevel: "error", absWorkingDir: here, outdir: "target/peers" };
  await bundle({ ...options, entryPoints: Object.fromEntries(IN_PAGES.map((name) => [name, name])) });
}

/** The peers that run in a page, each as one file in target/peers. */
export function bundlePeers() {
  bundled ??= bundleOnce();
  return bundled;
}

/** The newer Node of benches/package.json: its program and its version. */
export async function newerNode() {
  await installPeers();
  const folder = join(root, PEERS, "node-26");
  const binary = join(folder, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (!existsSync(binary)) throw new Error("npm brings no Node 26 for this platform");
  return { binary, version: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version };
}

const modules = new Map();

/** The compiled module of a contender; a build that failed once fails again with the same words. */
export function moduleOf(contender) {
  if (!modules.has(contender)) {
    const compiled = builders[contender]().then((file) => new WebAssembly.Module(readFileSync(file)));
    modules.set(contender, compiled);
  }
  return modules.get(contender);
}

let faces;

/** The built package: URLs of its two entry points, and the file of its module. */
export function builtPackage() {
  faces ??= build().then(() => {
    const dist = (name) => pathToFileURL(join(root, "js-host", "dist", name)).href;
    return { index: dist("index.js"), worker: dist("worker.js"), wasm: join(root, shippedModule) };
  });
  return faces;
}

/** The package of the foundation, built from the repository's history: the folder of its faces. */
export async function foundationPackage() {
  const folder = join(here, "target", `foundation-${FOUNDATION}`);
  const dist = join(folder, "js-host", "dist");
  if (existsSync(join(dist, "worker.js"))) return dist;
  mkdirSync(folder, { recursive: true });
  const tar = `${folder}.tar`;
  await must("the foundation, from the history", ["git", "archive", "--output", tar, FOUNDATION], { cwd: root });
  await must("its files", ["tar", "-xf", tar, "-C", folder]);
  const modules = join(folder, "node_modules");
  if (!existsSync(modules)) symlinkSync(join(root, "node_modules"), modules, "junction");
  await must("its package", [process.execPath, "tools/build.mjs"], { cwd: folder });
  return dist;
}
