/** Where heap.wasm comes from: given by the user in any of its forms, or the file beside this one. */

import { checkBytes, invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { describeCause } from "./memory.js";

/** The forms in which a user may give heap.wasm. */
export type WasmSource = WebAssembly.Module | BufferSource | URL | Response | PromiseLike<Response>;

let ownModule: Promise<WebAssembly.Module> | undefined;

/** The compiled module. Compiled once per agent when it is coheap's own. */
export function loadModule(source: unknown): Promise<WebAssembly.Module> {
  if (source !== undefined) return compile(source);
  ownModule ??= compileOwn().catch((error: unknown) => {
    ownModule = undefined; // the next create() tries again
    throw error;
  });
  return ownModule;
}

/** Bundlers that know assets look for exactly these words. Others leave them as they are, and some have no address to put in. */
async function compileOwn(): Promise<WebAssembly.Module> {
  let url: URL;
  try {
    url = new URL("./heap.wasm", import.meta.url);
  } catch (cause) {
    throw unavailable("the place of this bundle", "its format has no import.meta.url", cause);
  }
  return await compile(url);
}

async function compile(source: unknown): Promise<WebAssembly.Module> {
  const kind = Object.prototype.toString.call(source);
  if (kind === "[object WebAssembly.Module]") return source as WebAssembly.Module;
  if (kind === "[object URL]") return compileBytes(await read(source as URL), String(source));
  if (kind === "[object Response]" || kind === "[object Promise]")
    return compileResponse(source as Response | Promise<Response>);
  if (kind === "[object ArrayBuffer]") return compileBytes(new Uint8Array(source as ArrayBuffer), "the bytes given");
  if (ArrayBuffer.isView(source)) return compileBytes(checkBytes("wasm", source), "the bytes given");
  throw invalid("wasm", "a WebAssembly.Module, an ArrayBuffer, a Uint8Array, a URL or a Response", source);
}

async function read(url: URL): Promise<Uint8Array> {
  if (url.protocol !== "file:" || typeof process !== "object") {
    let response: Response;
    try {
      response = await fetch(url);
    } catch (cause) {
      throw unavailable(url.href, describeCause(cause), cause);
    }
    return bytesOf(response, url.href);
  }
  try {
    // Asked of the process, not imported: bundlers for browsers must not look for a module of Node's.
    const files =
      process.getBuiltinModule?.("node:fs/promises") ??
      (await import(/* webpackIgnore: true */ /* @vite-ignore */ nodeFiles));
    return await files.readFile(url);
  } catch (cause) {
    throw unavailable(url.href, describeCause(cause), cause);
  }
}

const nodeFiles: string = "node:fs/promises";

async function compileResponse(promise: Response | Promise<Response>): Promise<WebAssembly.Module> {
  let response: unknown;
  try {
    response = await promise;
  } catch (cause) {
    throw unavailable("the response given", describeCause(cause), cause);
  }
  if (Object.prototype.toString.call(response) !== "[object Response]")
    throw invalid("wasm", "a promise of a Response", response);
  const name = (response as Response).url || "the response given";
  return compileBytes(await bytesOf(response as Response, name), name);
}

async function bytesOf(response: Response, name: string): Promise<Uint8Array> {
  if (!response.ok) throw unavailable(name, `the server answered ${response.status}`);
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unavailable(name, describeCause(cause), cause);
  }
}

async function compileBytes(bytes: Uint8Array, name: string): Promise<WebAssembly.Module> {
  if (bytes[0] === 0x3c) throw unavailable(name, "the server answered with a web page, not with heap.wasm");
  try {
    return await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    throw unavailable(name, describeCause(cause), cause);
  }
}

function unavailable(source: string, reason: string, cause?: unknown): CoheapError {
  return new CoheapError("COHEAP_WASM_UNAVAILABLE", { source, reason }, { cause });
}

/** The part of Node's process that is used here; no types of Node's are needed to compile against coheap. */
declare const process: {
  getBuiltinModule?(name: string): NodeFiles;
};
interface NodeFiles {
  readFile(url: URL): Promise<Uint8Array>;
}
