// Cells, and the values that all structures hold.

import { HUGE, LONG, TEXT } from "../heap-under-test.mjs";

const number = (heap) => heap.cell("number");
const text = (heap) => heap.cell("text");
const nothing = () => undefined;

export const cells = [
  { what: "cell.get of a number", keeps: true, open: number, step: (cell) => cell.get() },
  { what: "cell.get of a text", keeps: true, open: text, step: (cell) => cell.get() },
  {
    what: "cell.get of a text in pieces",
    keeps: true,
    open: (heap) => heap.cell(undefined, HUGE),
    step: (cell) => cell.get(),
  },
  { what: "cell.set to a number", open: number, step: (cell) => cell.set(2) },
  { what: "cell.set to a short text", open: number, step: (cell) => cell.set("four") },
  { what: "cell.set to a text", open: number, step: (cell) => cell.set(`${TEXT}, another`) },
  { what: "cell.set of a text to another", open: text, step: (cell) => cell.set(`${TEXT}, another`) },
  { what: "cell.set of a text to a number", open: text, step: (cell) => cell.set(7) },
  { what: "cell.set to a long text", open: text, step: (cell) => cell.set(LONG) },
  { what: "cell.set to bytes", open: number, step: (cell) => cell.set(new Uint8Array(100)) },
  { what: "cell.set to a big integer", open: number, step: (cell) => cell.set(2n ** 200n) },
  { what: "cell.add", open: number, step: (cell) => cell.add(3) },
  { what: "cell.add to a text is refused", refused: "COHEAP_NOT_A_NUMBER", open: text, step: (cell) => cell.add(3) },
  { what: "cell.compareAndSet of numbers", open: number, step: (cell) => cell.compareAndSet(1, 2) },
  { what: "cell.compareAndSet that fails", keeps: true, open: number, step: (cell) => cell.compareAndSet(9, 2) },
  { what: "cell.compareAndSet of texts", open: text, step: (cell) => cell.compareAndSet(cell.get(), "another text") },
  {
    what: "cell.compareAndSet of texts that fails",
    keeps: true,
    open: text,
    step: (cell) => cell.compareAndSet(LONG, TEXT),
  },
  { what: "cell.waitSync", keeps: true, open: number, step: (cell) => cell.waitSync(cell.get(), 1 / 128) },
  { what: "cell.waitAsync", keeps: true, open: number, step: (cell) => cell.waitAsync(cell.get(), { timeout: 0 }) },
  { what: "cell.waitSync of a text", keeps: true, open: text, step: (cell) => cell.waitSync(cell.get(), 1 / 128) },
  {
    what: "cell.waitAsync of a text",
    keeps: true,
    open: text,
    step: (cell) => cell.waitAsync(cell.get(), { timeout: 0 }),
  },
  { what: "cell without a name", keeps: true, open: nothing, step: (_, heap) => heap.cell() },
  { what: "cell without a name, of a text", keeps: true, open: nothing, step: (_, heap) => heap.cell(undefined, TEXT) },
  { what: "cell of a new name", open: nothing, step: (_, heap) => heap.cell("new cell") },
  { what: "cell of a new name, of a text", open: nothing, step: (_, heap) => heap.cell("new cell", TEXT) },
  { what: "cell of a name that is there", keeps: true, open: nothing, step: (_, heap) => heap.cell("number") },
  {
    what: "cell.dispose of the last reference",
    keeps: true,
    open: (heap) => heap.cell(undefined, TEXT),
    step: (cell) => cell.dispose(),
  },
  { what: "cell.dispose of what has a name", keeps: true, open: number, step: (cell) => cell.dispose() },
];
