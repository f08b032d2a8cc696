// Strings into shared memory and out of it, beside the way of wasm-bindgen's glue on a shared memory: a loop over the units,
// from the first one that is not ASCII on `encode()` and a copy; out by `slice()` and TextDecoder. Ours also allocates,
// publishes, frees what was there before, and validates what it read; the other way does nothing but move the text.
import { builtPackage } from "../setup.mjs";
import { median, ratio } from "../statistics.mjs";

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

function time(step, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) step(i);
  return ((performance.now() - start) * 1e6) / count;
}

async function measure({ milliseconds, rounds }) {
  const { SharedHeap } = await import((await builtPackage()).index);
  const heap = await SharedHeap.create();
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const steps = [];
  for (const [letter, other, name] of [
    ["x", "y", ""],
    ["é", "è", " é"],
  ]) {
    for (const length of LENGTHS) {
      const texts = [letter.repeat(length), other + letter.repeat(length - 1)];
      const cell = heap.cell(undefined, texts[0]);
      const bytes = passString(texts[0], memory, 0);
      const at = 4096 * steps.length;
      passString(texts[0], memory, at);
      steps.push({
        name: `${length}${name}`,
        in: (i) => cell.set(texts[i & 1]),
        out: () => cell.get(),
        otherIn: (i) => passString(texts[i & 1], memory, at),
        otherOut: () => getString(memory, at, bytes),
        samples: { in: [], out: [], otherIn: [], otherOut: [] },
      });
    }
  }
  const ways = ["in", "otherIn", "out", "otherOut"];
  const count = Math.ceil(milliseconds * 400);
  for (let round = -5; round < rounds; round++) {
    for (const step of steps) {
      for (const way of ways) {
        const took = time(step[way], count);
        if (round >= 0) step.samples[way].push(took);
      }
    }
    await null;
  }
  heap.detach();
  const values = {};
  const samples = {};
  const texts = steps.map(({ name, samples: own }) => {
    values[`in ${name}`] = ratio(own.otherIn, own.in);
    values[`out ${name}`] = ratio(own.otherOut, own.out);
    for (const way of ways) samples[`${name} ${way}`] = own[way];
    const times = (way) => `${median(own[way]).toFixed(0)} ns (${values[`${way} ${name}`].toFixed(2)} ×)`;
    return `${name}: in ${times("in")}, out ${times("out")}`;
  });
  return { measured: `${texts.join("; ")}; in brackets the other way's time by ours`, values, samples, problems: [] };
}

export const strings = [{ name: "strings in and out, 8/128/1,024 units", targets: [], measure }];
