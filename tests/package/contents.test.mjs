// What is in the packed file, and whether its package.json tells the truth about it.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { root } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";
import { filesOf, packed } from "./support.mjs";

watchdog(120);

/** Those whose types the entry points reach. */
const typed = [
  ...[
    "adopt",
    "audit",
    "bytes",
    "cell",
    "death",
    "devtools",
    "environment",
    "errors",
    "fields",
    "generated",
    "handle",
    "heap",
  ],
  ...[
    "index",
    "inline",
    "lease",
    "list",
    "map",
    "memory",
    "pipe",
    "pipe-blocking",
    "pipe-options",
    "plain",
    "program",
    "resource",
    "source",
    "token",
    "value",
    "wait",
    "worker",
  ],
];
const listed = [
  ...["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json", "dist/heap.wasm"],
  ...["devtools", "index", "inline", "worker"].flatMap((name) => [`dist/${name}.cjs`, `dist/${name}.js`]),
  ...typed.flatMap((name) => [`dist/${name}.d.cts`, `dist/${name}.d.ts`]),
];

let tarball;
let files;
let manifest;
before(async () => {
  tarball = await packed();
  files = filesOf(tarball);
  manifest = JSON.parse(text("package.json"));
});

const text = (path) => files.get(path).toString("utf8");

/** What a package.json says that its files do not keep. */
function lies({ exports, main, module, types, type, dependencies, private: unpublished }, has) {
  const found = [];
  const need = (path, why) => {
    if (typeof path !== "string" || !path.startsWith("./")) found.push(`${why}: ${path} is no path`);
    else if (!has(path.slice(2))) found.push(`${why}: ${path} is not in the package`);
  };
  for (const [name, path] of Object.entries({ main, module, types })) need(path, name);
  if (main !== exports["."]?.require?.default) found.push("main is not what a require gets");
  if (type !== "module") found.push("files ending in .js are ES modules");
  if (dependencies !== undefined) found.push("there are dependencies");
  if (unpublished) found.push("it cannot be published");
  for (const [entry, conditions] of Object.entries(exports)) {
    if (typeof conditions === "string") {
      need(conditions, entry);
      continue;
    }
    if (Object.keys(conditions).join() !== "import,require") found.push(`${entry}: not import, then require`);
    for (const [condition, targets] of Object.entries(conditions)) {
      const where = `${entry} ${condition}`;
      // The first that fits is taken: types must come before what fits always.
      if (Object.keys(targets).join() !== "types,default") found.push(`${where}: not types, then default`);
      const [code, declarations] = condition === "import" ? [".js", ".d.ts"] : [".cjs", ".d.cts"];
      need(targets.types, where);
      need(targets.default, where);
      if (targets.types !== `./dist/${nameOf(targets)}${declarations}`) found.push(`${where}: types of another format`);
      if (targets.default !== `./dist/${nameOf(targets)}${code}`) found.push(`${where}: code of another format`);
    }
  }
  return found;
}

const nameOf = ({ default: path }) => path?.match(/(\w+)\.c?js$/)?.[1];

test("packed_file_holds_what_users_need_and_nothing_else", () => {
  assert.deepEqual([...files.keys()], listed.sort());
  for (const path of files.keys()) assert.ok(files.get(path).length > 0, `${path} is empty`);
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  const [packedSize, size] = [statSync(tarball).size, bytes].map((number) => number.toLocaleString("en"));
  console.log(`packed: ${packedSize} bytes, unpacked: ${size} bytes, ${files.size} files`);
  cases("packed_file_holds_what_users_need_and_nothing_else", files.size);
});

test("packed_exports_lead_to_files_of_their_format_and_types_come_first", () => {
  const entries = ["./worker", "./inline", "./devtools"];
  assert.deepEqual(Object.keys(manifest.exports), [".", ...entries, "./heap.wasm", "./package.json"]);
  // Bundlers drop an import for its effects from every other file.
  assert.deepEqual(manifest.sideEffects, ["./dist/devtools.js", "./dist/devtools.cjs"]);
  assert.deepEqual(
    lies(manifest, (path) => files.has(path)),
    [],
  );
  // The check itself: each of these is found.
  const changes = [
    (broken) => (broken.exports["./heap.wasm"] = "./dist/wasm"),
    (broken) => (broken.exports["./worker"].import.default = "./dist/worker.cjs"),
    (broken) => (broken.exports["./worker"].require.types = "./dist/worker.d.ts"),
    ({
      exports: {
        "./inline": { import: entry },
      },
    }) => {
      const { types } = entry;
      delete entry.types;
      entry.types = types;
    },
    (broken) => (broken.exports["."] = { require: broken.exports["."].require, import: broken.exports["."].import }),
    (broken) => (broken.main = "./dist/index.js"),
    (broken) => (broken.module = "./dist/index.mjs"),
    (broken) => (broken.type = undefined),
    (broken) => (broken.dependencies = {}),
  ];
  for (const change of changes) {
    const broken = structuredClone(manifest);
    change(broken);
    assert.notDeepEqual(
      lies(broken, (path) => files.has(path)),
      [],
      `${change}`,
    );
  }
  for (const path of listed.filter((path) => /heap\.wasm$|c?js$|(index|worker|inline|devtools)\.d\.c?ts$/.test(path))) {
    assert.notDeepEqual(
      lies(manifest, (other) => other !== path && files.has(other)),
      [],
      path,
    );
  }
  cases("packed_exports_lead_to_files_of_their_format_and_types_come_first", changes.length);
});

test("packed_code_is_of_the_format_that_its_name_says", () => {
  const code = [...files.keys()].filter((path) => /\.c?js$/.test(path));
  for (const path of code) {
    const exporting = [/^export\s*\{|[;}]export\s*\{/m.test(text(path)), text(path).includes("module.exports")];
    const exports = path.endsWith(".cjs") ? [false, true] : [true, false];
    assert.deepEqual(exporting, path.includes("devtools") ? [false, false] : exports, path); // which is for its effect
    assert.doesNotMatch(text(path), /sourceMappingURL|\brequire\(/, path);
  }
  for (const path of [...files.keys()].filter((path) => /\.d\.c?ts$/.test(path))) {
    const imports = [...text(path).matchAll(/from "(\.[^"]+)"/g)].map(([, other]) => other);
    const ending = path.endsWith(".d.cts") ? ".cjs" : ".js";
    for (const other of imports) {
      assert.ok(other.endsWith(ending), `${path} imports ${other}`);
      assert.ok(
        files.has(join("dist", other.replace(/\.(c?)js$/, ".d.$1ts")).replaceAll("\\", "/")),
        `${path}: ${other}`,
      );
    }
  }
  const wasm = files.get("dist/heap.wasm");
  assert.ok(WebAssembly.validate(wasm));
  for (const path of ["dist/inline.js", "dist/inline.cjs"])
    assert.ok(text(path).includes(wasm.toString("base64")), path);
  cases("packed_code_is_of_the_format_that_its_name_says", code.length);
});

test("packed_licences_changelog_and_readme_are_the_repositorys_and_no_link_is_dead", () => {
  assert.equal(manifest.license, "MIT OR Apache-2.0");
  for (const path of ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"]) {
    assert.ok(files.get(path).equals(readFileSync(join(root, path))), path);
  }
  assert.ok(text("CHANGELOG.md").includes("[Unreleased]") || text("CHANGELOG.md").includes(`[${manifest.version}]`));
  assert.match(text("README.md"), /^# coheap\n/);
  assert.match(text("README.md"), /npm install coheap/);
  assert.doesNotMatch(text("README.md"), /<!--|npm test/);
  let links = 0;
  for (const path of ["README.md", "CHANGELOG.md"]) {
    for (const [, target] of text(path).matchAll(/\]\(([^)]+)\)/g)) {
      links++;
      if (!/^(https:|#)/.test(target)) assert.ok(files.has(target), `${path} links to ${target}`);
    }
  }
  cases("packed_licences_changelog_and_readme_are_the_repositorys_and_no_link_is_dead", links);
});
