/** Typed errors: a code, the numbers involved, and a sentence that says what to do. The table is generated from errors.json. */
import { ERRORS } from "./generated.js";

/** Every code that coheap can throw. */
export type Code = keyof typeof ERRORS;

type Text = "argument" | "expected" | "found" | "reason" | "source" | "type" | "why";
type Detail<Name extends string> = Name extends "missing" ? readonly string[] : Name extends Text ? string : number;

/** The numbers and names that belong to an error of code `C`. */
export type Details<C extends Code = Code> = C extends Code
  ? { readonly [Name in (typeof ERRORS)[C]["details"][number]]: Detail<Name> }
  : never;

// A registered symbol, so that errors of two copies of this package (the two entry points, two bundles) are recognised by each other.
const brand: unique symbol = Symbol.for("coheap.error") as never;

/** What every failing call of coheap throws or rejects with. */
export class CoheapError<C extends Code = Code> extends Error {
  /** Stable, machine-readable: compare with this, never with the message. */
  readonly code: C;
  /** The numbers and names involved, as plain data. */
  readonly details: Details<C>;
  /** @internal */
  readonly [brand] = true;

  /** Made by coheap alone. */
  constructor(code: C, details: Details<C>, options?: { cause?: unknown }) {
    super(sentence(code, details), options);
    this.code = code;
    this.details = details;
    Object.defineProperty(this, brand, { enumerable: false });
    Object.defineProperty(this, "name", { value: "CoheapError", enumerable: false });
  }
}

/** Whether `error` came from coheap, and (with `code`) whether it is that one. Never throws. */
export function isCoheapError<C extends Code>(error: unknown, code: C): error is CoheapError<C>;
export function isCoheapError(error: unknown): error is CoheapError;
export function isCoheapError(error: unknown, code?: Code): boolean {
  try {
    if (typeof error !== "object" || error === null || (error as CoheapError)[brand] !== true) return false;
    return code === undefined || (error as CoheapError).code === code;
  } catch {
    return false; // a proxy that throws is no error of ours
  }
}

/**
 * The table's text with each `{name}` replaced by that detail. No regular expression: an engine may compile one only here, and V8 ends the
 * process when the stack is too full for that.
 */
function sentence(code: Code, details: Readonly<Record<string, unknown>>): string {
  const [text, ...parts] = ERRORS[code].text.split("{") as [string, ...string[]];
  let result = text;
  for (const part of parts) {
    const end = part.indexOf("}");
    const name = part.slice(0, end);
    const value = Object.hasOwn(details, name) ? details[name] : `{${name}}`;
    result += (Array.isArray(value) ? value.join(", ") : String(value)) + part.slice(end + 1);
  }
  return result;
}

/** What a value is called in an error, without running any code of the value's owner. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return "a bigint";
    case "symbol":
      return "a symbol";
    case "function":
      return "a function";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "an array" : "an object";
    default:
      return String(value);
  }
}
