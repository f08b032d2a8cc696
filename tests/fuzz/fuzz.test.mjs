// The targets of fuzz/: libFuzzer makes sequences of operations and deaths, and looks which code each one reaches.
//   COHEAP_SEED=7         the same inputs again, as far as time reaches
//   COHEAP_INPUTS=100000  so many inputs for each target, in place of a minute
//   COHEAP_FOUND=FOLDER   goes on from the inputs that are kept there, and keeps there what it finds

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { before, test } from "node:test";
import { root, run } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";

const targets = ["allocator", "map", "fields", "pipe"];
const { COHEAP_INPUTS: inputs, COHEAP_FOUND: kept } = process.env;
const limitMinutes = 20;
const goOn = watchdog(60 * (limitMinutes + 1));

const { nightly } = JSON.parse(readFileSync(join(root, "tools", "versions.json"), "utf8"));
const targetFolder = join(root, "target", "fuzz");
/** What the operations write is nothing that comparisons of inputs would find sooner. The heap is one mapping: a sanitizer sees nothing in it. */
const options = ["--sanitizer", "none", "--no-trace-compares"];
/** Inputs are long from the beginning: what one operation does alone other tests know. */
const libFuzzer = ["-max_len=600", "-len_control=0", "-timeout=60", "-rss_limit_mb=1024"];

let folder;
before(async () => {
  const env = { RUSTUP_TOOLCHAIN: nightly, CARGO_TARGET_DIR: targetFolder, RUSTFLAGS: undefined };
  const { output } = await run("rustc -vV", ["rustc", "-vV"], { env });
  const [, host] = output.match(/^host: (.+)$/m);
  folder = join(targetFolder, host, "release");
  const command = [join(root, ".tools", "bin", "cargo-fuzz"), "fuzz", "build", "--target", host, ...options];
  const { code, errors } = await run("cargo fuzz build", command, { env, limitMinutes });
  assert.equal(code, 0, errors);
  goOn();
});

/** Runs a target; how many inputs it has tried, and what it says of one that fails. */
async function fuzz(name, words, { control = 0, artifacts = join("fuzz", "artifacts", name) } = {}) {
  mkdirSync(join(root, artifacts), { recursive: true });
  const program = join(folder, name);
  const command = [program, ...libFuzzer, `-artifact_prefix=${artifacts}/`, ...words];
  const env = { COHEAP_CONTROL: String(control) };
  const { code, errors, timedOut } = await run(`fuzz ${name}`, command, { env, limitMinutes });
  goOn();
  const [, did] = errors.match(/^#(\d+)\s+DONE/m) ?? [];
  if (code === 0 && did !== undefined) return { did: Number(did) };
  const [, artifact] = errors.match(/Test unit written to (\S+)/) ?? [];
  const again = artifact === undefined ? command.join(" ") : `${relative(root, program)} ${artifact}`;
  // Without the line for each input that reached something new.
  const said = errors.split("\n").filter((line) => !/^(#\d|\s+NEW_FUNC|INFO|WARNING)/.test(line));
  const why = timedOut ? "time is up" : said.join("\n").slice(0, 8000);
  return { did: 0, failure: `${name}: again by \`${again}\`\n${why}`, hasPanicked: errors.includes("panicked at") };
}

const corpusOf = (name) => join(root, "fuzz", "corpus", name);

test("fuzz_corpora_find_nothing", async () => {
  let count = 0;
  for (const name of targets) {
    const files = readdirSync(corpusOf(name)).length;
    const { did, failure } = await fuzz(name, ["-runs=0", corpusOf(name)]);
    assert.equal(failure, undefined, failure);
    assert.ok(files > 0 && did >= files, `${name}: ${did} of ${files}`);
    count += did;
  }
  cases("fuzz_corpora_find_nothing", count);
});

/** Bugs of the crates' `controls.rs`. */
const seeded = [
  ["allocator", 6, "NoRecord"],
  ["allocator", 13, "LinkBeforeLive"],
  ["map", 112, "DROP_UNCLAIMED"],
  ["map", 140, "NOTHING_SETTLED"],
  ["fields", 12, "LiveBeforeRecord"],
  ["fields", 140, "NOTHING_SETTLED"],
  ["pipe", 115, "CLEAN_BEFORE_HEAD"],
  ["pipe", 118, "NO_HELP"],
];

test("fuzz_corpora_find_seeded_bugs", async () => {
  for (const [name, control, bug] of seeded) {
    const found = await fuzz(name, ["-runs=0", corpusOf(name)], {
      control,
      artifacts: join("target", "fuzz", "seeded"),
    });
    assert.ok(found.hasPanicked, `${name} did not notice ${bug}: ${found.failure}`);
  }
  cases("fuzz_corpora_find_seeded_bugs", seeded.length);
});

test("fuzzed_operations_and_deaths_do_what_plain_models_do", async () => {
  const seed = Number(process.env.COHEAP_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0 || 1;
  console.log(`COHEAP_SEED=${seed}`);
  const until = inputs === undefined ? "-max_total_time=60" : `-runs=${inputs}`;
  const search = async (name) => {
    const found = kept === undefined ? mkdtempSync(join(tmpdir(), "coheap-fuzz-")) : join(kept, name);
    mkdirSync(found, { recursive: true });
    const before = readdirSync(found).length;
    try {
      const { did, failure } = await fuzz(name, [`-seed=${seed}`, until, found, corpusOf(name)]);
      assert.equal(failure, undefined, failure);
      console.log(`# ${name}: ${did} inputs; ${before} found before, ${readdirSync(found).length} now`);
      return did;
    } finally {
      if (kept === undefined) rmSync(found, { recursive: true });
    }
  };
  let count = 0;
  // Each has one thread.
  for (let first = 0; first < targets.length; first += 2) {
    for (const did of await Promise.all(targets.slice(first, first + 2).map(search))) count += did;
  }
  cases("fuzzed_operations_and_deaths_do_what_plain_models_do", count);
});
