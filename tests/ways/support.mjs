// What the tests of the ways from Rust share: programs, built as their users build them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../../tools/process.mjs";

const { target } = JSON.parse(readFileSync(join(root, "tools", "versions.json"), "utf8"));
const folder = join(root, "target", "ways");

/** The file of a program of stable Rust, built now. */
export async function built(manifestFolder, name) {
  const manifest = join(root, manifestFolder, "Cargo.toml");
  const command = ["cargo", "build", "--release", "--locked", "--target", target, "--manifest-path", manifest];
  const { code, errors } = await run(`cargo build of ${name}`, [...command, "--target-dir", folder], {
    env: { RUSTFLAGS: undefined },
    limitMinutes: 5,
  });
  assert.equal(code, 0, errors);
  return join(folder, target, "release", `${name}.wasm`);
}
