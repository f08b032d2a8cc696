// The bytes of a file beside the caller's own. Runs in Node and in browsers.
import { inNode } from "./workers.mjs";

/** @param {URL} file */
export async function bytesOf(file) {
  if (inNode) return (await import("node:fs/promises")).readFile(file);
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file.pathname}: ${response.status}`);
  return response.arrayBuffer();
}
