// The objects that bindings/js declares for Rust have what the npm package's have, and nothing else.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../../tools/process.mjs";
import { cases, watchdog } from "./support.mjs";

watchdog(60);

/** What Rust has other words for, and what no program of wasm-bindgen is: the host of another one. */
const ELSEWHERE = new Set([
  "SharedFields.forEach",
  "SharedList.forEach",
  "SharedMap.forEach",
  "SharedHeap.embed",
  "BlockingHeap.imports",
  "BlockingHeap.thread",
  "SharedHeap.imports",
  "SharedHeap.thread",
]);
const CLASSES = [
  ["SharedResource"],
  ["SharedCell", "SharedResource"],
  ["BlockingCell", "SharedCell", "SharedResource"],
  ["SharedBytes", "SharedResource"],
  ["SharedFields", "SharedResource"],
  ["SharedList", "SharedResource"],
  ["SharedMap", "SharedResource"],
  ["SharedPipe", "SharedResource"],
  ["BlockingPipe", "SharedPipe", "SharedResource"],
  ["SharedLease"],
  ["SharedHeap", "Heap"],
  ["BlockingHeap", "Heap"],
];

/** The names that users can call, of each class. */
function declaredInTypeScript() {
  const folder = join(root, "js-host/dist");
  const classes = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".d.ts"))) {
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, name, body] of text.matchAll(/^(?:export )?declare (?:abstract )?class (\w+)(.*?)^}/gms)) {
      const members = body.matchAll(/^ {4}(?:static |readonly |get |abstract )*(\w+)[(<:]/gm);
      classes.set(name, new Set([...members].map(([, member]) => member).filter((member) => member !== "constructor")));
    }
  }
  return classes;
}

/** The names that JavaScript is called by, of each type of Rust's. */
function declaredInRust() {
  const folder = join(root, "bindings/js/src");
  const declaration = /#\[wasm_bindgen\(([^\]]*)\)\]\s*(?:pub )?fn (\w+)\(\s*(?:this: &(\w+))?/g;
  const types = new Map();
  for (const file of readdirSync(folder)) {
    for (const [, how, name, self] of readFileSync(join(folder, file), "utf8").matchAll(declaration)) {
      const type = self ?? /static_method_of = (\w+)/.exec(how)?.[1];
      if (type === undefined) continue;
      const called = /js_name = (\w+)/.exec(how)?.[1] ?? name;
      if (!types.has(type)) types.set(type, new Set());
      types.get(type).add(called);
    }
  }
  return types;
}

test("rust_objects_have_every_method_of_the_packages_and_no_other", () => {
  const [theirs, ours] = [declaredInTypeScript(), declaredInRust()];
  const namesOf = (declared, line) => new Set(line.flatMap((name) => [...(declared.get(name) ?? [])]));
  let count = 0;
  for (const line of CLASSES) {
    const [name] = line;
    const [wanted, found] = [namesOf(theirs, line), namesOf(ours, line)];
    assert.ok(wanted.size > 0 && found.size > 0, name);
    const missing = [...wanted].filter((member) => !found.has(member) && !ELSEWHERE.has(`${name}.${member}`));
    const unknown = [...found].filter((member) => !wanted.has(member));
    assert.deepEqual({ missing, unknown }, { missing: [], unknown: [] }, name);
    count += wanted.size;
  }
  for (const member of ELSEWHERE) {
    const [name, method] = member.split(".");
    const line = CLASSES.find(([first]) => first === name);
    assert.ok(namesOf(theirs, line).has(method) && !namesOf(ours, line).has(method), member);
  }
  cases("rust_objects_have_every_method_of_the_packages_and_no_other", count);
});
