// Every loop of heap.wasm is known, by the function of the source it comes from. How many that has, and what bounds them, stands in
// loops.json, as a number and one of these:
//
//   constant   so many rounds, whatever is in the heap
//   argument   as long as what the caller gave, or asked for
//   object     as large as the object it works on, whose size is checked against the memory
//   heap       as many pages, slots or entries as the heap has
//   others     again only when another agent succeeded in between, so a peer that stands still adds none
//   time       until a time is over, for agents that may block

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { linkedModule, shippedModule } from "../../tools/build.mjs";
import { root } from "../../tools/process.mjs";
import { cases, watchdog } from "../js/support.mjs";

watchdog(300);

/** Whose code loops.json tells of. Another compiler may inline and unroll otherwise: of it, fewer loops are accepted, and no more. */
const COMPILER = "rustc 1.95.0";
const ADVICE = `loops.json does not say what the module has. Of a loop that is new, look what bounds it, and list it; of one that is gone, list one \
less. Where only the compiler is another one than ${COMPILER}, look at each, list what it has, and name it in this test.`;
const KINDS = ["constant", "argument", "object", "heap", "others", "time"];
const listed = JSON.parse(readFileSync(new URL("loops.json", import.meta.url), "utf8"));
const linked = join(root, linkedModule);

function tool(...words) {
  const cargo = ["run", "--quiet", "--package", "coheap-tools", "--bin", ...words];
  const { status, stdout, stderr } = spawnSync("cargo", cargo, { cwd: root, encoding: "utf8", timeout: 240_000 });
  assert.equal(status, 0, stderr);
  return stdout;
}

const compiler = spawnSync("rustc", ["--version"], { cwd: root, encoding: "utf8" }).stdout.trim();
const isOurCompiler = compiler.startsWith(`${COMPILER} `);

/** Where the functions stand. */
const sources = ["allocator/src", "collections/src", "bindings/src"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true }).map((name) => join(root, folder, name)),
);
const source = sources.filter((name) => name.endsWith(".rs")).map((name) => readFileSync(name, "utf8"));

/** Whether a function may have another number of loops than it is listed with. */
function isWrong(known, count) {
  return count > known || (count < known && isOurCompiler);
}

test("every_loop_of_the_module_is_listed_with_its_bound", () => {
  const found = JSON.parse(tool("loops", "--", linked));
  const wrong = [];
  for (const name of new Set([...Object.keys(listed), ...Object.keys(found)])) {
    const [count, known] = [found[name] ?? 0, Number.parseInt(listed[name] ?? "0", 10)];
    if (isWrong(known, count)) wrong.push(`${name}: ${count}, listed: ${known}`);
  }
  assert.equal(wrong.length, 0, `${ADVICE} This is ${compiler}.\n${wrong.join("\n")}`);
  for (const [name, bound] of Object.entries(listed)) {
    const [, kind, words] = /^[1-9]\d* ([a-z]+): (.+)$/.exec(bound) ?? [];
    assert.ok(KINDS.includes(kind) && words.length > 4, `${name}: ${bound}`);
    const called = new RegExp(`fn ${name.split("::").at(-1)}\\b`);
    assert.ok(
      name === "memcmp" || source.some((text) => called.test(text)),
      `${name} is in loops.json and nowhere else`,
    );
  }
  const loops = Object.values(found).reduce((sum, count) => sum + count, 0);
  console.log(`# ${loops} loops of ${Object.keys(found).length} functions`);
  cases("every_loop_of_the_module_is_listed_with_its_bound", Object.keys(found).length);
});

test("the_loops_that_are_listed_are_those_of_the_shipped_module", () => {
  const folder = mkdtempSync(join(tmpdir(), "coheap-loops-"));
  try {
    const output = join(folder, "heap.wasm");
    tool("post-link", "--", linked, output);
    assert.ok(readFileSync(output).equals(readFileSync(join(root, shippedModule))));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
