/**
 * `import "coheap/devtools"` makes the console and the debugger of a browser show what a heap and the objects in it hold: where "Custom
 * formatters" are on in the settings of its DevTools, in each thread that has imported this. Again does nothing.
 *
 * Contents are read when they are unfolded, from the heap as it is then. While the debugger stands inside coheap's own code, that may
 * disturb the call which it stands in.
 */
import { hiddenOf, reason, type Shown, shown, titleOf } from "./shown.js";

/** An element of HTML as an array: its name, its attributes, its children. */
type JsonMl = [tag: string, attributes: object, ...children: (string | JsonMl)[]];

interface Formatter {
  header(value: unknown): JsonMl | null;
  hasBody(value: unknown): boolean;
  body(value: unknown): JsonMl;
}

interface Showable {
  readonly [shown]: Shown;
}

/** Registered, so that another copy of this file finds the formatter. */
const brand: unique symbol = Symbol.for("coheap.devtools") as never;

const INDENTED = { style: "margin-left: 12px" };

const isShowable = (value: unknown): value is Showable => typeof value === "object" && value !== null && shown in value;

/**
 * The title of a heap or of an object in it, and whether there is anything below it. Nothing for everything else, and for what only looks
 * like one, as prototypes and proxies do: those show themselves.
 */
function headOf(value: unknown): { title: string; unfolds: boolean } | undefined {
  let name = "";
  try {
    if (!isShowable(value)) return undefined;
    name = value.constructor.name;
    const { [shown]: found } = value;
    return { title: titleOf(name, found), unfolds: found.size !== 0 };
  } catch (error) {
    const why = reason(error);
    return why === undefined ? undefined : { title: `${name} <${why}>`, unfolds: false };
  }
}

/** What DevTools shows in its own way, and unfolds only when asked to. It takes no undefined. */
function reference(object: unknown): JsonMl {
  return object === undefined ? ["span", {}, "undefined"] : ["object", { object }];
}

function rowsOf(contents: object, isArray: boolean | undefined): JsonMl[] {
  if (contents instanceof Map) {
    return Array.from(contents, ([key, value]) => ["div", INDENTED, reference(key), " => ", reference(value)]);
  }
  const pairs: [string, unknown][] = Array.isArray(contents) && isArray !== true ? contents : Object.entries(contents);
  return pairs.map(([name, value]) => ["div", INDENTED, `${name}: `, reference(value)]);
}

/** DevTools calls its methods for whatever it shows. None throws. */
const formatter: Formatter & { readonly [brand]: true } = {
  [brand]: true,

  header(value) {
    const head = headOf(value);
    return head === undefined ? null : ["span", {}, head.title];
  },

  hasBody(value) {
    return headOf(value)?.unfolds === true;
  },

  body(value) {
    try {
      const { [shown]: found } = value as Showable;
      const rows = rowsOf(found.contents(), found.isArray);
      const hidden = hiddenOf(found);
      if (hidden > 0) rows.push(["div", INDENTED, `… ${hidden} more`]);
      return ["div", {}, ...rows];
    } catch (error) {
      return ["div", INDENTED, `<${reason(error) ?? "unreadable"}>`];
    }
  },
};

const page = globalThis as { devtoolsFormatters?: unknown };
const others: readonly unknown[] = Array.isArray(page.devtoolsFormatters) ? page.devtoolsFormatters : [];
if (!others.some((other) => (other as Partial<typeof formatter> | undefined)?.[brand])) {
  page.devtoolsFormatters = [...others, formatter];
}
