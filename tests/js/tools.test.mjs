// What the set-up and the build do besides their work: what they skip, and what they do when something is old or fails.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { packageFiles, shippedModule } from "../../tools/build.mjs";
import { isCI, shellWord } from "../../tools/process.mjs";
import { cases, watchdog } from "./support.mjs";

watchdog(120);

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Hands `use` a folder with the tools alone, which then is their repository. */
function withTools(use) {
  const folder = mkdtempSync(join(tmpdir(), "coheap-tools-"));
  try {
    for (const path of ["tools", "Cargo.toml", "package.json", "package-lock.json", "js-host/package.json"]) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      cpSync(join(root, path), join(folder, path), { recursive: true });
    }
    use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("step_that_failed_half_way_is_not_done_already", () => {
  withTools((folder) => {
    writeFileSync(
      join(folder, "steps.mjs"),
      `import { once } from "./tools/stamp.mjs";
      const fail = () => { throw new Error("half way"); };
      const did = [await once("step", "old", [], () => {}), await once("step", "old", [], fail)];
      did.push(await once("step", "new", [], fail).catch((error) => error.message));
      did.push(await once("step", "old", [], () => {}));
      console.log(JSON.stringify(did));`,
    );
    const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "steps.mjs")], { encoding: "utf8" });
    assert.equal(stdout.trim(), '[true,false,"half way",true]', stderr);
  });
});

test("package_counts_as_built_when_every_file_that_it_exports_is_there", () => {
  const { exports } = JSON.parse(readFileSync(join(root, "js-host", "package.json"), "utf8"));
  const files = JSON.stringify(exports).match(/dist\/[\w.-]+/g);
  const known = [...packageFiles, shippedModule];
  for (const file of files) assert.ok(known.includes(`js-host/${file}`), file);
  for (const file of known) assert.ok(existsSync(join(root, file)), file);
});

/** Runs the set-up for `npm start` with a Rust of this version and an npm, both of paper; answers what they were asked for. */
function setUp(folder, { rust, updated = rust, env = {} }) {
  const bin = join(folder, "bin");
  const log = join(folder, "log");
  mkdirSync(bin);
  writeFileSync(log, "");
  writeFileSync(join(folder, "rust"), rust);
  const programs = {
    npm: `mkdir -p node_modules/@biomejs/biome node_modules/esbuild node_modules/playwright-core node_modules/typescript node_modules/vite`,
    rustc: `echo "rustc $(cat ${folder}/rust) (of paper)"`,
    rustup: `[ "$1" = target ] && echo wasm32-unknown-unknown; [ "$1" = update ] && printf ${updated} > ${folder}/rust; true`,
    cargo: "true",
    cc: "true",
  };
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >> ${log}\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const PATH = `${bin}${delimiter}${process.env.PATH}`;
  const { status, stderr } = spawnSync(process.execPath, [join(folder, "tools", "setup.mjs"), "start"], {
    encoding: "utf8",
    env: { ...process.env, ...env, PATH },
  });
  rmSync(bin, { recursive: true });
  return { status, stderr, asked: readFileSync(log, "utf8").trim().split("\n") };
}

const skip = process.platform === "win32" && "the programs of paper are shell scripts";

test("setup_brings_the_build_tools_for_production_too", { skip }, () => {
  withTools((folder) => {
    const env = { NODE_ENV: "production", npm_config_omit: "dev" };
    const npm = () => setUp(folder, { rust: "9.0.0", env }).asked.filter((line) => line.startsWith("npm"));
    assert.deepEqual(npm(), ["npm ci --include=dev --no-audit --no-fund"]);
    assert.deepEqual(npm(), [], "done already");
    rmSync(join(folder, "node_modules", "typescript"), { recursive: true });
    assert.equal(npm().length, 1, "a package is missing");
  });
});

test("setup_updates_a_rust_that_is_too_old_and_no_other", { skip }, () => {
  const least = readFileSync(join(root, "Cargo.toml"), "utf8").match(/^rust-version = "(.+)"$/m)[1];
  const [major, minor] = least.split(".").map(Number);
  const update = "rustup update stable --no-self-update";
  const table = [
    [`${major}.${minor}.0`, false],
    [`${major}.${minor + 1}.2`, false],
    [`${major + 1}.0.0`, false],
    [`${major}.${minor - 1}.3`, true],
    [`${major}.9.9`, true],
    [`${major - 1}.${minor + 1}.0`, true],
  ];
  for (const [rust, old] of table) {
    withTools((folder) => {
      const { status, stderr, asked } = setUp(folder, { rust, updated: `${major}.${minor}.1` });
      assert.equal(status, 0, stderr);
      assert.equal(asked.includes(update), old, `${rust}: ${asked}`);
    });
  }
  withTools((folder) => {
    const { status, stderr } = setUp(folder, { rust: "1.60.0" });
    assert.equal(status, 1);
    assert.match(stderr, /needs Rust .* this is 1\.60\.0/);
  });
  cases("setup_updates_a_rust_that_is_too_old_and_no_other", table.length + 1);
});

test("ci_is_what_says_so_in_any_words", () => {
  const yes = ["1", "true", "TRUE", "yes", "woodpecker"];
  const no = [undefined, "", "0", "false", "False"];
  for (const CI of yes) assert.equal(isCI({ CI }), true, CI);
  for (const CI of no) assert.equal(isCI({ CI }), false, CI);
  cases("ci_is_what_says_so_in_any_words", yes.length + no.length);
});

test("words_of_a_command_stay_whole_in_the_shell_of_windows", () => {
  const command = ["C:\\Program Files\\nodejs\\node.exe", "js-host/build.mjs", "--pattern=^a b$", "R&D", "npm.cmd", ""];
  const words = [
    '"C:\\Program Files\\nodejs\\node.exe"',
    "js-host/build.mjs",
    '"--pattern=^a b$"',
    '"R&D"',
    "npm.cmd",
    '""',
  ];
  assert.deepEqual(command.map(shellWord), words);
});
