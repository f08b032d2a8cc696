// "Done already": a step is skipped while the files that it reads hash to what they did when it last succeeded.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./process.mjs";

const folder = join(root, ".tools", "stamps");

/** Every file below `path` (or `path` itself), sorted, without build output. */
export function filesBelow(path) {
  const absolute = join(root, path);
  if (!existsSync(absolute)) return [];
  const found = [];
  const walk = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const child = join(directory, entry.name);
      if (entry.isDirectory()) {
        if (!["node_modules", "target", "dist", "build", ".git"].includes(entry.name)) walk(child);
      } else if (entry.isFile()) {
        found.push(relative(root, child));
      }
    }
  };
  try {
    walk(absolute);
  } catch (error) {
    if (error.code !== "ENOTDIR") throw error;
    found.push(path);
  }
  return found.sort();
}

/** The hash of files and folders (relative to the repository) and of other text that decides the outcome. */
export function hashOf(paths, text = "") {
  const hash = createHash("sha256").update(text);
  for (const file of paths.flatMap(filesBelow)) {
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex");
}

/** Does `work` unless it was done with the same `hash` and all of its `products` still exist. */
export async function once(name, hash, products, work) {
  const stamp = join(folder, name);
  const complete = products.every((product) => existsSync(join(root, product)));
  if (complete && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return false;
  // First: work that fails half way leaves nothing that counts as done.
  rmSync(stamp, { force: true });
  await work();
  mkdirSync(folder, { recursive: true });
  writeFileSync(stamp, hash);
  return true;
}
