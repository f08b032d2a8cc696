/** What an agent needs to attach: plain data that `postMessage` and `workerData` can carry. */

import { isUint32, PAGE, sharedBuffer } from "./check.js";
import { CoheapError, describe } from "./errors.js";

/**
 * Lets one agent attach to the heap: structured-cloneable, not JSON. Who holds it can read and destroy everything in the heap.
 * It carries a nonce that the attaching agent writes into its slot, so that `adopt` can tell which slot a worker took:
 * make a fresh one for each agent. A second agent is refused for as long as the first is attached.
 */
export interface HeapToken {
  readonly coheap: 1;
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Byte address of the heap's control area. */
  readonly control: number;
  /** Names the heap, so that a handle of another one is refused. */
  readonly heap: string;
  readonly nonceHigh: number;
  readonly nonceLow: number;
  /** Which agent made this token: its index plus one. */
  readonly parent: number;
  /** Layout version of the heap's bytes. */
  readonly layout: number;
  /** Number of the calling convention of `module`. */
  readonly abi: number;
  /** Where in a program's memory the agent's stack and thread-locals are to be; 0: `module` is heap.wasm, which has them in its slot. */
  readonly thread: number;
}

const names = [
  "coheap",
  "module",
  "memory",
  "control",
  "heap",
  "nonceHigh",
  "nonceLow",
  "parent",
  "layout",
  "abi",
  "thread",
] as const;

/** A private copy of `value` if it has the shape of a token; COHEAP_INVALID_TOKEN else. Reads nothing of the heap. */
export function checkToken(value: unknown): HeapToken {
  if (typeof value !== "object" || value === null) throw refused(`it is ${describe(value)}, not an object`);
  const token: Record<string, unknown> = {};
  for (const name of names) {
    if (!Object.hasOwn(value, name)) throw refused(`it has no property ${name}`);
    token[name] = (value as Record<string, unknown>)[name];
  }
  if (token["coheap"] !== 1) throw refused("its property coheap is not 1");
  if (!isHeapName(token["heap"])) throw refused("its property heap is not 16 hexadecimal digits");
  for (const name of ["nonceHigh", "nonceLow", "parent", "layout", "abi", "control", "thread"] as const) {
    if (!isUint32(token[name]))
      throw refused(`its property ${name} is ${describe(token[name])}, not an unsigned 32-bit number`);
  }
  if (sharedBuffer(token["memory"]) === undefined) throw refused("its property memory is no shared WebAssembly.Memory");
  if (Object.prototype.toString.call(token["module"]) !== "[object WebAssembly.Module]")
    throw refused("its property module is no WebAssembly.Module");
  if ((token["control"] as number) % PAGE !== 0) throw refused("its property control is not the address of a page");
  if ((token["thread"] as number) % 16 !== 0) throw refused("its property thread is not the address of a block");
  return token as unknown as HeapToken;
}

// No regular expression: an engine may compile one only here, and V8 ends the process when the stack is too full for that.
function isHeapName(value: unknown): boolean {
  if (typeof value !== "string" || value.length !== 16) return false;
  for (const digit of value) if (!"0123456789abcdef".includes(digit)) return false;
  return true;
}

export function refused(why: string): CoheapError {
  return new CoheapError("COHEAP_INVALID_TOKEN", { why });
}

/** 64 random bits as two unsigned numbers. */
export function random64(): { high: number; low: number } {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return { high, low };
}
