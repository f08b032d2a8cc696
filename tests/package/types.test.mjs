// What TypeScript sees of the installed package, under each way of finding modules.

import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { cases, watchdog } from "../js/support.mjs";
import { must, project, tsc } from "./support.mjs";

watchdog(180);

const entries = ["index", "worker", "inline", "devtools"];
const settings = [
  { module: "node16", moduleResolution: "node16" },
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "esnext", moduleResolution: "bundler" },
  { module: "preserve", moduleResolution: "bundler" },
];

let folder;
before(async () => {
  folder = await project("types");
  copyFileSync(join(folder, "use.mts"), join(folder, "use.cts"));
  // For a bundler this one is neither.
  copyFileSync(join(folder, "use.mts"), join(folder, "use.ts"));
});

async function check(files, compilerOptions) {
  const strict = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: [],
    exactOptionalPropertyTypes: true,
    noUncheckedSideEffectImports: true,
  };
  const config = { files, compilerOptions: { ...strict, ...compilerOptions } };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  return await must(folder, process.execPath, tsc, "--pretty", "false", "--listFiles", "-p", folder);
}

test("types_of_the_package_resolve_under_every_module_setting", async () => {
  for (const setting of settings) {
    const listed = await check(["use.mts", "use.cts", "use.ts"], { target: "es2022", ...setting });
    const found = (file) => listed.includes(`coheap/dist/${file}`);
    const node = setting.moduleResolution !== "bundler";
    for (const name of entries) assert.ok(found(`${name}.d.ts`), `${name}: ${listed}`);
    // A require must see the types of what a require gets.
    if (node) for (const name of entries) assert.ok(found(`${name}.d.cts`), `${name}: ${listed}`);
  }
  cases("types_of_the_package_resolve_under_every_module_setting", settings.length);
});
