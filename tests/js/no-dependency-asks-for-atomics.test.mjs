// On stable Rust cfg(target_feature = "atomics") is false although heap.wasm runs on many threads, so a dependency that
// asks for it takes itself for single-threaded, silently. None in heap.wasm may, except where the asking code is out of
// reach: the exact places stand below, with the names that alone lead there, and nothing of ours says those names.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { test } from "node:test";
import { root } from "../../tools/process.mjs";

const target = "wasm32-unknown-unknown";

/** Code that asks, by package and file: the one function that does, and every public name through which it is reached. */
const unreached = [
  // Asks in order to be refused: a program that wants threads and has none is not compiled.
  { package: "coheap-alloc", file: "src/lib.rs", asks: 1, names: ["compile_error"] },
  { package: "talc", file: "src/cell.rs", asks: 1, names: ["TalcSyncCell", "WasmArenaTalc", "WasmDynamicTalc"] },
];

/** Source without comments and with its strings: enough to tell code from prose. */
function withoutComments(source) {
  return source.replaceAll(/('\\?"'|"(?:[^"\\]|\\.)*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (_, string) => string ?? "");
}

/** How often code asks: as an attribute, by cfg!, and in cfg_attr. */
function questions(source) {
  return [...withoutComments(source).matchAll(/target_feature\s*=\s*"atomics"/g)].length;
}

function rustFiles(folder) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".rs"))
    .map((file) => join(folder, file));
}

/** The packages that are compiled into heap.wasm, coheap-wasm itself included, with their sources' folders. */
function packagesOfHeap() {
  const options = ["metadata", "--format-version", "1", "--filter-platform", target];
  const { packages, resolve } = JSON.parse(
    execFileSync("cargo", options, { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }),
  );
  const byId = new Map(packages.map((each) => [each.id, each]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const reached = new Set();
  const walk = (id) => {
    if (reached.has(id)) return;
    reached.add(id);
    for (const dependency of nodes.get(id).deps) {
      // Macros and build scripts run on the builder's machine; they are not in the module.
      const normal = dependency.dep_kinds.some(({ kind }) => kind === null);
      const macro = byId.get(dependency.pkg).targets.some(({ kind }) => kind.includes("proc-macro"));
      if (normal && !macro) walk(dependency.pkg);
    }
  };
  walk(packages.find((each) => each.name === "coheap-wasm").id);
  return [...reached].map((id) => ({ name: byId.get(id).name, folder: dirname(byId.get(id).manifest_path) }));
}

const packages = packagesOfHeap();

test("no dependency of heap.wasm asks for target_feature atomics, except where it is not reached", () => {
  const found = [];
  let files = 0;
  for (const { name, folder } of packages) {
    for (const file of rustFiles(join(folder, "src"))) {
      files += 1;
      const asks = questions(readFileSync(file, "utf8"));
      if (asks > 0) found.push({ package: name, file: relative(folder, file).split(sep).join("/"), asks });
    }
  }
  console.log(
    `cases no dependency of heap.wasm asks for target_feature atomics, except where it is not reached ${files}`,
  );
  const names = packages.map((each) => each.name);
  for (const name of ["coheap-wasm", "coheap", "coheap-alloc", "talc"])
    assert.ok(names.includes(name), `${name}: ${names}`);
  assert.deepEqual(
    found,
    unreached.map(({ names, ...place }) => place),
  );
});

test("what asks for atomics is reached through no other name", () => {
  for (const place of unreached) {
    const { folder } = packages.find((each) => each.name === place.package);
    for (const file of rustFiles(join(folder, "src"))) {
      const code = withoutComments(readFileSync(file, "utf8"));
      // An alias of a tainted type is itself one of the names.
      for (const [, alias, meaning] of code.matchAll(/\btype\s+(\w+)[^=;]*=\s*([^;]+);/g)) {
        const tainted = place.names.some((name) => new RegExp(`\\b${name}\\b`).test(meaning));
        assert.ok(!tainted || place.names.includes(alias), `${file}: ${alias} stands for ${meaning}`);
      }
    }
  }
});

test("nothing else in heap.wasm says a name that leads there", () => {
  for (const place of unreached) {
    const said = new RegExp(`\\b(${place.names.join("|")})\\b`);
    for (const { folder } of packages.filter((each) => each.name !== place.package)) {
      for (const file of rustFiles(join(folder, "src"))) {
        assert.doesNotMatch(withoutComments(readFileSync(file, "utf8")), said, file);
      }
    }
  }
});

test("heap.wasm holds nothing of std, which asks for atomics too", () => {
  const module = readFileSync(join(root, "js-host", "dist", "heap.wasm"), "latin1");
  assert.ok(WebAssembly.validate(Buffer.from(module, "latin1")));
  assert.doesNotMatch(module, /library\/std\/src|std::sys|Not running on single-threaded WebAssembly/);
});

test("the search tells code from comments", () => {
  assert.equal(questions('/// #[cfg(target_feature = "atomics")]\n/* target_feature = "atomics" */ fn f() {}'), 0);
  assert.equal(
    questions('#[cfg(not(target_feature="atomics"))]\nlet x = cfg!(target_feature\n = "atomics"); // no'),
    2,
  );
  assert.equal(questions('let url = "https://x"; #[cfg(target_feature = "atomics")]'), 1);
});
