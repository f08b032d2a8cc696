// What the tests of the ways from Rust share: programs, built as their users build them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../../tools/process.mjs";

export const { target } = JSON.parse(readFileSync(join(root, "tools", "versions.json"), "utf8"));
const folder = join(root, "target", "ways");

async function build(manifestFolder, name, options, targets, env) {
  const manifest = join(root, manifestFolder, "Cargo.toml");
  const command = ["cargo", "build", "--locked", "--target", target, "--manifest-path", manifest];
  const { code, errors } = await run(`cargo build of ${name}`, [...command, ...options, "--target-dir", targets], {
    env: { RUSTFLAGS: undefined, ...env },
    limitMinutes: 5,
  });
  assert.equal(code, 0, errors);
}

/** The file of a program of stable Rust, built now. */
export async function built(manifestFolder, name) {
  await build(manifestFolder, name, ["--release"], folder);
  return join(folder, target, "release", `${name}.wasm`);
}

/** The folder of a program of wasm-bindgen with its glue for Node, built now; with what the tests of wasm-pack have built, as they build it. */
export async function bound(manifestFolder, name) {
  const targets = join(root, "target", "wasm-pack");
  await build(manifestFolder, name, [], targets, {
    CARGO_PROFILE_DEV_DEBUG: "false",
    CARGO_PROFILE_DEV_OPT_LEVEL: "1",
  });
  const out = join(folder, name);
  const program = join(targets, target, "debug", `${name}.wasm`);
  const command = ["wasm-bindgen", "--target", "experimental-nodejs-module", "--out-dir", out, program];
  const { code, errors } = await run(`wasm-bindgen of ${name}`, command, { limitMinutes: 2 });
  assert.equal(code, 0, errors);
  return out;
}
