/** Plain data on its way into maps and lists. */

import { invalid } from "./check.js";
import { CoheapError, isCoheapError } from "./errors.js";
import type { SharedList } from "./list.js";
import type { SharedMap } from "./map.js";
import { SharedResource } from "./resource.js";
import { checkScalar, type Key, type Scalar, type Value } from "./value.js";

/** What `heap.from` makes of plain data: of values and structures themselves, of arrays lists, of objects and `Map`s maps. */
export type Shared<T> = T extends Scalar | SharedResource
  ? T
  : T extends readonly (infer Item)[]
    ? SharedList<Shared<Item>>
    : T extends ReadonlyMap<infer K, infer Item>
      ? SharedMap<K & Key, Shared<Item>>
      : T extends object
        ? SharedMap<string, Shared<T[keyof T]>>
        : never;

/** What is left of a value when it is copied out: structures become plain data. */
export type Js<V> =
  V extends SharedMap<infer K, infer W>
    ? Map<K, Js<W>>
    : V extends SharedList<infer W>
      ? Js<W>[]
      : V extends SharedResource
        ? unknown
        : V;

/** What is to become a map or a list. */
export class Planned {
  readonly isList: boolean;
  /** Of a map keys and values in turn, of a list values: all checked. */
  readonly values: (Value | Planned)[] = [];
  /** For whoever makes them: what was made of this. */
  made: SharedMap<Key> | SharedList | undefined;

  constructor(isList: boolean) {
    this.isList = isList;
  }
}

/** The maps and lists of plain data, the innermost first, the whole last. From here on no code of the user runs. */
export function plan(data: unknown): Planned[] {
  if (typeof data !== "object" || data === null || data instanceof SharedResource) {
    throw invalid("data", "an object or an array", data);
  }
  const order: Planned[] = [];
  planObject(data, undefined, new Map(), order);
  return order;
}

/** Where a value stands: its key, and where that stands. */
interface Path {
  readonly before: Path | undefined;
  readonly key: Key;
}

/** `known` has each object once; one without a plan is being walked: then it contains itself. */
function planObject(data: object, path: Path | undefined, known: Map<object, Planned | undefined>, order: Planned[]) {
  const planned = new Planned(Array.isArray(data));
  known.set(data, undefined);
  for (const [key, value] of entriesOf(data, path)) {
    if (typeof key !== "string" && typeof key !== "number") throw invalid("key", "a string or a number", key);
    const inner = planValue(value, { before: path, key }, known, order);
    if (planned.isList) planned.values.push(inner);
    else planned.values.push(key, inner);
  }
  known.set(data, planned);
  order.push(planned);
  return planned;
}

function planValue(
  value: unknown,
  path: Path | undefined,
  known: Map<object, Planned | undefined>,
  order: Planned[],
): Value | Planned {
  if (value instanceof SharedResource) return value;
  try {
    return checkScalar(value);
  } catch (error) {
    if (!isCoheapError(error, "COHEAP_UNSUPPORTED_VALUE")) throw error;
  }
  if (typeof value !== "object" || value === null) throw unsupported(typeof value, path);
  if (!known.has(value)) return planObject(value, path, known, order);
  const planned = known.get(value);
  if (planned === undefined) throw unsupported("object that contains itself", path);
  return planned;
}

function entriesOf(data: object, path: Path | undefined): Iterable<readonly [unknown, unknown]> {
  if (data instanceof Map) return Map.prototype.entries.call(data);
  if (Array.isArray(data)) return data.entries();
  const prototype: unknown = Object.getPrototypeOf(data);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw unsupported(nameOf(data), path);
  return Object.entries(data);
}

/** The error for what no map holds, which says where it stands. */
function unsupported(type: string, path: Path | undefined): CoheapError {
  let where = "";
  for (let at = path; at !== undefined; at = at.before) where = step(at.key) + where;
  return new CoheapError("COHEAP_UNSUPPORTED_VALUE", { type: `${type} (at data${where})` });
}

/** How JavaScript writes the property. */
function step(key: Key): string {
  if (typeof key === "number") return `[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** What an object is called, without running code of its own. */
function nameOf(value: object): string {
  for (const [type, name] of [
    [Date, "Date"],
    [Set, "Set"],
  ] as const) {
    if (value instanceof type) return name;
  }
  return "object";
}
