/** What Node's console shows of the heap and of the objects in it: their contents, the first hundred of them. */

/** Items that are read to be shown. */
export const LARGEST_SHOWN = 100;
/** Levels of structures in structures. */
const DEEPEST_SHOWN = 16;

/** What Node looks for. */
export const inspectCustom: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** What is shown of something. */
export interface Inspected {
  /** A plain value of Node's. */
  readonly contents: unknown;
  /** How many items there are, if it has items. */
  readonly size?: number;
  /** How many of them are not among the contents. */
  readonly hidden?: number;
}

interface Options {
  readonly maxArrayLength?: number | null;
  readonly stylize?: (text: string, style: string) => string;
}

type Inspect = (value: unknown, options: object) => string;

/** The text of something called `name`, whose `shown` may throw. Never throws. */
export function inspectAs(
  name: string,
  shown: () => Inspected,
  depth: unknown,
  given: unknown,
  inspect: unknown,
): string {
  const options: Options = typeof given === "object" && given !== null ? given : {};
  const special = (text: string) => (typeof options.stylize === "function" ? options.stylize(text, "special") : text);
  try {
    if (typeof depth === "number" && depth < 0) return special(`[${name}]`);
    const { contents, size, hidden = 0 } = shown();
    const title = size === undefined ? name : `${name}(${size})`;
    if (typeof inspect !== "function") return title;
    // A structure in a structure is one level deeper, and may hold the first: what has no limit gets one.
    const left = typeof depth === "number" ? Math.min(depth, DEEPEST_SHOWN) : DEEPEST_SHOWN;
    const text = (inspect as Inspect)(contents, { ...options, depth: left, maxArrayLength: LARGEST_SHOWN });
    // Node's own title of a map or of an array comes before its bracket.
    const body = size === undefined ? text : text.slice(text.search(/[[{]/));
    return `${title} ${hidden > 0 ? withMore(body, hidden) : body}`;
  } catch (error) {
    return `${name} ${special(`<${reason(error)}>`)}`;
  }
}

/** Says in Node's words how many items are not shown. */
function withMore(body: string, hidden: number): string {
  const bracket = body.slice(-1);
  const isLong = body.at(-2) === "\n";
  const more = `... ${hidden} more item${hidden === 1 ? "" : "s"}`;
  return isLong ? `${body.slice(0, -2)},\n  ${more}\n${bracket}` : `${body.slice(0, -2)}, ${more} ${bracket}`;
}

/** What the error says of the state of what was to be shown. */
function reason(error: unknown): string {
  const code = String((error as { code?: unknown } | undefined)?.code ?? "unreadable");
  return code
    .replace(/^COHEAP_/, "")
    .toLowerCase()
    .replaceAll("_", " ");
}
