/** What Node's console shows of the heap and of the objects in it. */
import { hiddenOf, LARGEST_SHOWN, reason, type Shown, titleOf } from "./shown.js";

/** Levels of structures in structures. */
const DEEPEST_SHOWN = 16;

/** What Node looks for. */
export const inspectCustom: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

interface Options {
  readonly maxArrayLength?: number | null;
  readonly stylize?: (text: string, style: string) => string;
}

type Inspect = (value: unknown, options: object) => string;

/** What is being shown: a structure that holds one of these is not shown in it again. */
const inside = new Set<object>();

/** The text of `self`, called `name`, of which `read` says what is shown, and may throw. Never throws. */
export function inspectAs(
  self: object,
  name: string,
  read: () => Shown,
  depth: unknown,
  given: unknown,
  inspect: unknown,
): string {
  const options: Options = typeof given === "object" && given !== null ? given : {};
  const special = (text: string) => (typeof options.stylize === "function" ? options.stylize(text, "special") : text);
  if (typeof depth === "number" && depth < 0) return special(`[${name}]`);
  if (inside.has(self)) return special(`[Circular ${name}]`);
  try {
    inside.add(self);
    const shown = read();
    const title = titleOf(name, shown);
    if (typeof inspect !== "function") return title;
    // A structure in a structure is one level deeper, and may hold the first: what has no limit gets one.
    const left = typeof depth === "number" ? Math.min(depth, DEEPEST_SHOWN) : DEEPEST_SHOWN;
    const text = (inspect as Inspect)(shown.contents(), { ...options, depth: left, maxArrayLength: LARGEST_SHOWN });
    // Node's own title of a map or of an array comes before its bracket.
    const body = shown.size === undefined ? text : text.slice(text.search(/[[{]/));
    const hidden = hiddenOf(shown);
    return `${title} ${hidden > 0 ? withMore(body, hidden) : body}`;
  } catch (error) {
    return `${name} ${special(`<${reason(error) ?? "unreadable"}>`)}`;
  } finally {
    inside.delete(self);
  }
}

/** Says in Node's words how many items are not shown. */
function withMore(body: string, hidden: number): string {
  const bracket = body.slice(-1);
  const isLong = body.at(-2) === "\n";
  const more = `... ${hidden} more item${hidden === 1 ? "" : "s"}`;
  return isLong ? `${body.slice(0, -2)},\n  ${more}\n${bracket}` : `${body.slice(0, -2)}, ${more} ${bracket}`;
}
