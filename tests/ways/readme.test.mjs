// The README's blocks of Rust, as they stand, in programs of their own.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root, run } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";
import { target } from "./support.mjs";

watchdog(400);

/** What is around a block, by how it begins: which face it is of, for which target, and what it is then found to have done. */
const programs = {
  "let heap = coheap::typed": {
    feature: "std",
    uses: "use coheap::typed::{Cell, Result};",
    check: "assert_eq!(hits.get()?, 1.0);",
    command: ["run"],
  },
  "let words: Map<Str, f64> = coheap::imported": {
    feature: "imported",
    uses: "use coheap::imported::{Map, Result, Str};",
    check: "",
    command: ["build", "--target", target],
  },
};

test("readme_blocks_of_rust_are_programs", async () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const blocks = [...readme.matchAll(/^```rust\n(.*?)^```$/gms)].map(([, text]) => text);
  assert.equal(blocks.length, Object.keys(programs).length);
  // The example has the dependencies of a user's program, and says which versions.
  const example = (file) => readFileSync(join(root, "examples", "imported", file), "utf8");
  for (const block of blocks) {
    const beginning = Object.keys(programs).find((beginning) => block.startsWith(beginning));
    assert.ok(beginning, `what is around this block?\n${block}`);
    const { feature, uses, check, command } = programs[beginning];
    const folder = join(root, "target", "ways", "readme", feature);
    mkdirSync(join(folder, "src"), { recursive: true });
    const manifest = example("Cargo.toml")
      .replace(/\[lib\]\n.*\n/, "")
      .replace("../../collections", join(root, "collections").replaceAll("\\", "/"))
      .replace('"imported"', `"${feature}"`);
    writeFileSync(join(folder, "Cargo.toml"), manifest);
    writeFileSync(join(folder, "Cargo.lock"), example("Cargo.lock"));
    const body = `${uses}\nfn main() -> Result<()> {\n${block}${check}\nOk(())\n}\n`;
    writeFileSync(join(folder, "src", "main.rs"), body);
    const options = ["--locked", "--manifest-path", join(folder, "Cargo.toml")];
    const { code, errors } = await run(
      `cargo ${command[0]} of the README's Rust`,
      ["cargo", ...command, ...options, "--target-dir", join(root, "target", "ways")],
      { env: { RUSTFLAGS: undefined }, limitMinutes: 5 },
    );
    assert.equal(code, 0, `${body}\n${errors}`);
  }
  cases("readme_blocks_of_rust_are_programs", blocks.length);
});
