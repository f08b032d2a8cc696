// What Chromium's own DevTools get to see, asked in the way in which they ask.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage } from "./page.mjs";

const timeout = 300_000;

/** DevTools beside a page, with custom formatters on. */
class DevTools {
  static async beside(tab) {
    const session = await tab.context().newCDPSession(tab);
    await session.send("Runtime.enable");
    await session.send("Runtime.setCustomObjectFormatterEnabled", { enabled: true });
    return new DevTools(session);
  }

  /** What DevTools log of formatters that throw, or answer what they cannot show. */
  failures = [];
  #session;

  constructor(session) {
    this.#session = session;
    session.on("Runtime.consoleAPICalled", ({ args: [{ value }] }) => {
      if (/^Custom Formatter Failed/.test(value)) this.failures.push(value);
    });
  }

  /** What an expression in the page is: as DevTools get it, a "remote object". */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.#session.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      generatePreview: true,
    });
    assert.equal(exceptionDetails, undefined, expression);
    return result;
  }

  /** What the page logs, as DevTools get it. */
  async logged(expression) {
    const call = new Promise((resolve) => this.#session.once("Runtime.consoleAPICalled", resolve));
    await this.evaluate(`void console.log(${expression})`);
    return (await call).args[0];
  }

  /** The body of what can be unfolded. */
  async unfold({ customPreview: { bodyGetterId } }) {
    const { result, exceptionDetails } = await this.#session.send("Runtime.callFunctionOn", {
      objectId: bodyGetterId,
      functionDeclaration: "function () { return this(); }",
      returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined);
    return result.value;
  }

  /** The rows below a remote object. */
  async rows(object) {
    const [tag, , ...rows] = await this.unfold(object);
    assert.equal(tag, "div");
    return rows;
  }
}

/** The text of a header; undefined for what shows itself. */
function header({ customPreview }) {
  if (customPreview === undefined) return undefined;
  const [tag, , text] = JSON.parse(customPreview.header);
  assert.equal(tag, "span");
  return text;
}

/** A row's text, with what its references show when they are not unfolded. */
function text([, , ...children]) {
  return children.map((child) => (Array.isArray(child) ? textOf(child) : child)).join("");
}

function textOf([tag, object, text]) {
  if (tag !== "object") return text;
  if (object.customPreview !== undefined) return header(object);
  if (object.subtype === "typedarray") return object.description;
  return object.unserializableValue ?? JSON.stringify(object.value);
}

const unfolds = ({ customPreview }) => customPreview?.bodyGetterId !== undefined;

async function makeObjects() {
  const { SharedHeap } = await import("/js-host/dist/index.js");
  await import("/js-host/dist/devtools.js");
  const heap = await SharedHeap.create();
  const map = heap.from({
    number: -0,
    text: "ü",
    big: 2n ** 70n,
    bytes: Uint8Array.of(1, 2),
    nested: { deep: { er: 1 } },
  });
  map.set("none", undefined).set("cell", heap.cell(undefined, null));
  const items = Array.from({ length: 250 }, (_, i) => i);
  const disposed = heap.map();
  disposed.dispose();
  const left = SharedHeap.attach(heap.token());
  const kept = left.bytes(undefined, 8);
  left.detach();
  Object.assign(globalThis, {
    heap,
    map,
    disposed,
    left,
    kept,
    plain: new Map([["a", 1]]),
    cell: heap.cell(undefined, "text"),
    bytes: heap.bytes(undefined, 3),
    fields: heap.fields([
      ["Accept", "text/html"],
      ["accept", "*/*"],
    ]),
    large: heap.from(items),
    long: heap.fields(items.map((i) => ["n", String(i)])),
    block: heap.bytes(undefined, 100_000),
    empty: heap.map(),
  });
}

test("devtools_of_chromium_show_what_objects_hold", { timeout }, async () => {
  await onPage(async (tab) => {
    await tab.evaluate(makeObjects);
    const devtools = await DevTools.beside(tab);
    const table = {
      map: [
        "SharedMap(7)",
        ...['"number" => -0', '"text" => "ü"', `"big" => ${2n ** 70n}n`, '"bytes" => Uint8Array(2)'],
        ...['"nested" => SharedMap(1)', '"none" => undefined', '"cell" => SharedCell'],
      ],
      cell: ["SharedCell", 'value: "text"'],
      bytes: ["SharedBytes(3)", "0: 0", "1: 0", "2: 0"],
      fields: ["SharedFields(2)", 'Accept: "text/html"', 'Accept: "*/*"'],
    };
    for (const [name, [title, ...rows]] of Object.entries(table)) {
      for (const object of [await devtools.evaluate(name), await devtools.logged(name)]) {
        assert.equal(header(object), title);
        assert.deepEqual((await devtools.rows(object)).map(text), rows);
      }
    }
    const heap = await devtools.evaluate("heap");
    assert.equal(header(heap), "SharedHeap");
    assert.ok((await devtools.rows(heap)).map(text).includes("agents: 1"));
    const hidden = {
      large: ["SharedList(250)", 150],
      long: ["SharedFields(250)", 150],
      block: ["SharedBytes(100000)", 99_900],
    };
    for (const [name, [title, more]] of Object.entries(hidden)) {
      const object = await devtools.evaluate(name);
      const rows = await devtools.rows(object);
      assert.deepEqual([header(object), rows.length, text(rows[100])], [title, 101, `… ${more} more`]);
    }
    const empty = await devtools.evaluate("empty");
    assert.deepEqual([header(empty), unfolds(empty)], ["SharedMap(0)", false]);
    for (const name of ["plain", "Object.getPrototypeOf(map)", "new Proxy(map, {})", "[map]"])
      assert.equal(header(await devtools.evaluate(name)), undefined, name);
    assert.deepEqual(devtools.failures, []);
    const cases = 2 * Object.keys(table).length + Object.keys(hidden).length;
    console.log(`cases devtools_of_chromium_show_what_objects_hold ${cases}`);
  });
});

test("devtools_of_chromium_unfold_structures_in_structures_one_by_one", { timeout }, async () => {
  await onPage(async (tab) => {
    await tab.evaluate(makeObjects);
    const devtools = await DevTools.beside(tab);
    let rows = await devtools.rows(await devtools.evaluate("map"));
    const titles = [];
    // Each reference is asked about when the one around it is unfolded: what changes below is read then.
    await tab.evaluate(() => globalThis.map.get("nested").get("deep").set("er", 2));
    for (const key of ["nested", "deep"]) {
      const [, , , , [, object]] = rows.find((row) => text(row).startsWith(`"${key}"`));
      titles.push(header(object));
      rows = await devtools.rows(object);
    }
    assert.deepEqual([...titles, ...rows.map(text)], ["SharedMap(1)", "SharedMap(1)", '"er" => 2']);
    // A map in itself is no endless tree.
    await tab.evaluate(() => globalThis.map.set("itself", globalThis.map));
    rows = await devtools.rows(await devtools.evaluate("map"));
    assert.equal(text(rows.at(-1)), '"itself" => SharedMap(8)');
    await tab.evaluate(() => globalThis.map.delete("itself"));
  });
});

test("devtools_of_chromium_are_told_why_nothing_can_be_shown", { timeout }, async () => {
  await onPage(async (tab) => {
    await tab.evaluate(makeObjects);
    const devtools = await DevTools.beside(tab);
    const table = { disposed: "SharedMap <disposed>", left: "SharedHeap <detached>", kept: "SharedBytes <detached>" };
    for (const [name, title] of Object.entries(table)) {
      const object = await devtools.evaluate(name);
      assert.deepEqual([header(object), unfolds(object)], [title, false]);
    }
    // What ends between its header and its body.
    const map = await devtools.evaluate("map");
    await tab.evaluate(() => globalThis.map.dispose());
    assert.equal(text(await devtools.unfold(map)), "<disposed>");
    assert.deepEqual(devtools.failures, []);
    // Which are seen.
    await devtools.evaluate(`devtoolsFormatters.push({ header: () => nothing }), ({})`);
    assert.equal(devtools.failures.length, 1);
    console.log(`cases devtools_of_chromium_are_told_why_nothing_can_be_shown ${Object.keys(table).length + 1}`);
  });
});
