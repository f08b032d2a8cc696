// Strings into shared memory and out of it, beside the way of wasm-bindgen's glue on a shared memory: a loop over the units,
// from the first one that is not ASCII on `encode()` and a copy; out by `slice()` and TextDecoder. Ours also allocates,
// publishes, frees what was there before, and validates what it read; the other way does nothing but move the text.
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";

const LENGTHS = [8, 128, 1024];
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** What wasm-bindgen's glue does with a string argument, without its allocation. */
function passString(text, memory, at) {
  let bytes = new Uint8Array(memory.buffer);
  let i = 0;
  for (; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) break;
    bytes[at + i] = unit;
  }
  if (i !== text.length) {
    const rest = encoder.encode(i === 0 ? text : text.slice(i));
    bytes = new Uint8Array(memory.buffer);
    bytes.set(rest, at + i);
    i += rest.length;
  }
  return i;
}

/** And with one that comes back. */
function getString(memory, at, length) {
  return decoder.decode(new Uint8Array(memory.buffer).slice(at, at + length));
}

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const count = Math.ceil(milliseconds * 400);
  const contestants = {};
  let at = 0;
  for (const [letter, other, kind] of [
    ["x", "y", ""],
    ["é", "è", " é"],
  ]) {
    for (const length of LENGTHS) {
      const texts = [letter.repeat(length), other + letter.repeat(length - 1)];
      const cell = heap.cell(undefined, texts[0]);
      const [place, bytes] = [at, passString(texts[0], memory, at)];
      const steps = {
        in: (i) => cell.set(texts[i & 1]),
        otherIn: (i) => passString(texts[i & 1], memory, place),
        out: () => cell.get(),
        otherOut: () => getString(memory, place, bytes),
      };
      if (steps.out() !== steps.otherOut()) throw new Error(`a text of ${length} units came back as another`);
      for (const [way, step] of Object.entries(steps)) {
        for (let i = 0; i < 5; i++) time(step, count);
        contestants[`${length}${kind} ${way}`] = () => time(step, count);
      }
      at += 4096;
    }
  }
  const samples = await interleave(contestants, rounds);
  heap.detach();
  return { samples, problems: [] };
}

function outcome({ samples }) {
  const values = {};
  const names = ["", " é"].flatMap((kind) => LENGTHS.map((length) => `${length}${kind}`));
  const texts = names.map((name) => {
    values[`in ${name}`] = ratio(samples[`${name} otherIn`], samples[`${name} in`]);
    values[`out ${name}`] = ratio(samples[`${name} otherOut`], samples[`${name} out`]);
    const times = (way) =>
      `${median(samples[`${name} ${way}`]).toFixed(0)} ns (${values[`${way} ${name}`].toFixed(2)} ×)`;
    return `${name}: in ${times("in")}, out ${times("out")}`;
  });
  return { measured: `${texts.join("; ")}; in brackets the other way's time by ours`, values };
}

export const contest = { file: "strings", name: "strings in and out, 8/128/1,024 units", targets: [], race, outcome };
