// The commit that something was done at, for what is written down of it.

import { spawnSync } from "node:child_process";
import { root } from "./process.mjs";

const git = (...words) => spawnSync("git", words, { cwd: root, encoding: "utf8" }).stdout?.trim() ?? "";

/** The short hash, and whether files are others by now; but for `written`, what the caller itself writes. */
export function commit(...written) {
  const changed = git("status", "--porcelain", "--", ".", ...written.map((path) => `:!${path}`)) !== "";
  return `${git("rev-parse", "--short", "HEAD") || "unknown"}${changed ? ", with changes" : ""}`;
}
