// The glue, the module and the heap are of one version, or nothing begins: an attach, or the making of a heap, that meets another one is refused
// before the first write.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { cases, refuses, testedWasm, watchdog } from "./support.mjs";

watchdog(120);

const dist = fileURLToPath(new URL("../../js-host/dist/", import.meta.url));
/** What a version is compared with: one older, the same, one newer. */
const STEPS = [-1, 0, 1];
/** Words of the control area. */
const [LAYOUT, ABI] = [1, 2];

/** Both numbers, each at every step beside the other as it is. */
const versions = [
  ...STEPS.map((step) => ({ layout: 1 + step, abi: 1 })),
  ...STEPS.filter((step) => step !== 0).map((step) => ({ layout: 1, abi: 1 + step })),
];

/** Once, and no other place: what is replaced is the version. */
function replaced(text, from, to) {
  assert.equal(text.split(from).length, 2, `${from} stands there once`);
  return text.replace(from, () => to);
}

/** The glue, as another version has it. */
function glueOf({ layout, abi }, folder) {
  const name = join(folder, `index-${layout}-${abi}.js`);
  let text = readFileSync(join(dist, "index.js"), "utf8");
  text = replaced(text, "var LAYOUT_VERSION = 1;", `var LAYOUT_VERSION = ${layout};`);
  text = replaced(text, "var ABI_NUMBER = 1;", `var ABI_NUMBER = ${abi};`);
  writeFileSync(name, text);
  return import(pathToFileURL(name).href);
}

/** A number below 2²⁰ in three bytes, as long as the one that stands there. */
const leb = (value) => Buffer.from([(value & 0x7f) | 0x80, ((value >> 7) & 0x7f) | 0x80, value >> 14]);

/** The body of the function that answers the module's version: no locals, a number, the end. */
function body({ layout, abi }) {
  return Buffer.concat([Buffer.from([6, 0, 0x41]), leb((layout << 16) | abi), Buffer.from([0x0b])]);
}

/** The module, as another version has it. */
function moduleOf(version) {
  const bytes = testedWasm();
  const [from, to] = [body({ layout: 1, abi: 1 }), body(version)];
  const at = bytes.indexOf(from);
  assert.ok(at > 0 && bytes.indexOf(from, at + 1) === -1, "the version stands there once");
  return new WebAssembly.Module(Buffer.concat([bytes.subarray(0, at), to, bytes.subarray(at + from.length)]));
}

/** A module from before its version could be asked for. */
function moduleWithout() {
  const bytes = testedWasm();
  const at = bytes.indexOf("coheap_version");
  assert.ok(at > 0);
  const changed = Buffer.from(bytes);
  changed.write("coheap_Version", at);
  return new WebAssembly.Module(changed);
}

const isOne = (...found) => found.every(({ layout, abi }) => layout === found[0].layout && abi === found[0].abi);

/** Hands `use` a folder with the glue in it. */
async function withFolder(use) {
  const folder = mkdtempSync(join(tmpdir(), "coheap-versions-"));
  try {
    cpSync(join(dist, "heap.wasm"), join(folder, "heap.wasm"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("attach_of_another_version_of_glue_module_or_heap_changes_no_byte", () =>
  withFolder(async (folder) => {
    const { SharedHeap } = await glueOf({ layout: 1, abi: 1 }, folder);
    const heap = await SharedHeap.create({ wasm: moduleOf({ layout: 1, abi: 1 }), maximum: "2MiB" });
    heap.cell("x", "a text that takes a block").set("another text");
    await null;
    const good = heap.token();
    const words = new Int32Array(good.memory.buffer, good.control, 4);
    const glues = await Promise.all(versions.map(async (version) => [version, await glueOf(version, folder)]));
    const modules = versions.map((version) => [version, moduleOf(version)]);
    let [attached, tried] = [0, 0];
    for (const [glue, face] of glues) {
      for (const [own, module] of modules) {
        for (const found of versions) {
          [words[LAYOUT], words[ABI]] = [found.layout, found.abi];
          const before = Buffer.from(new Uint8Array(good.memory.buffer));
          const token = { ...heap.token(), module, layout: found.layout, abi: found.abi };
          const what = JSON.stringify({ glue, module: own, heap: found });
          tried++;
          if (isOne(glue, own, found)) {
            // Only a version that is the module's own can go further.
            if (glue.layout === 1 && glue.abi === 1) {
              face.SharedHeap.attach(token).detach();
              attached++;
            }
          } else {
            assert.throws(() => face.SharedHeap.attach(token), { code: "COHEAP_ABI_MISMATCH" }, what);
            assert.ok(before.equals(Buffer.from(good.memory.buffer)), what);
          }
          [words[LAYOUT], words[ABI]] = [1, 1];
        }
      }
    }
    assert.equal(attached, 1);
    refuses(() => SharedHeap.attach({ ...heap.token(), module: moduleWithout() }), "COHEAP_ABI_MISMATCH");
    assert.equal(heap.cell("x").get(), "another text");
    await heap.audit();
    cases("attach_of_another_version_of_glue_module_or_heap_changes_no_byte", tried);
  }));

test("heap_is_not_made_by_a_module_of_another_version", () =>
  withFolder(async (folder) => {
    const { SharedHeap } = await glueOf({ layout: 1, abi: 1 }, folder);
    const others = [
      ...versions.filter((version) => !isOne(version, { layout: 1, abi: 1 })).map(moduleOf),
      moduleWithout(),
    ];
    for (const wasm of others) await refuses(() => SharedHeap.create({ wasm, maximum: "2MiB" }), "COHEAP_ABI_MISMATCH");
    cases("heap_is_not_made_by_a_module_of_another_version", others.length);
  }));
