// Strings into shared memory and out of it, beside wasm-bindgen's glue on a shared memory of its own. Both allocate and free what
// was there before; ours also publishes the string to all threads, and validates what it read.
import { bytesOf } from "../bytes.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";

const LENGTHS = [8, 128, 1024];

/** By the suffix of their names, two letters: what the strings consist of, and what every other one begins with. */
const KINDS = { "": ["x", "y"], " é": ["é", "è"] };

async function wasmBindgen() {
  const glue = await import("../target/wasm-bindgen/peer_wasm_bindgen.js");
  const file = new URL("../target/wasm-bindgen/peer_wasm_bindgen_bg.wasm", import.meta.url);
  glue.initSync({ module: await bytesOf(file) });
  return glue;
}

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const { keep, kept } = await wasmBindgen();
  const count = Math.ceil(milliseconds * 400);
  const contestants = {};
  for (const [kind, [letter, other]] of Object.entries(KINDS)) {
    for (const length of LENGTHS) {
      const texts = [letter.repeat(length), other + letter.repeat(length - 1)];
      const cell = heap.cell(undefined, texts[0]);
      const steps = {
        in: (i) => cell.set(texts[i & 1]),
        out: () => cell.get(),
        "glue in": (i) => keep(texts[i & 1]),
        "glue out": () => kept(),
      };
      for (const text of texts) {
        cell.set(text);
        keep(text);
        if (cell.get() !== text || kept() !== text) throw new Error(`a text of ${length} units came back as another`);
      }
      for (const [way, step] of Object.entries(steps)) {
        for (let i = 0; i < 5; i++) time(step, count);
        contestants[`${length}${kind} ${way}`] = () => {
          // The glue's side keeps one text for all.
          if (way === "glue out") keep(texts[0]);
          return time(step, count);
        };
      }
    }
  }
  const samples = await interleave(contestants, rounds);
  heap.detach();
  return { samples, problems: [] };
}

function outcome({ samples }) {
  const values = {};
  const names = Object.keys(KINDS).flatMap((kind) => LENGTHS.map((length) => `${length}${kind}`));
  const texts = names.map((name) => {
    const times = ["in", "out"].map((way) => {
      const [own, glue] = [samples[`${name} ${way}`], samples[`${name} glue ${way}`]];
      values[`${way} ${name}`] = ratio(glue, own);
      return `${way} ${median(own).toFixed(0)} ns (glue ${median(glue).toFixed(0)}, ${values[`${way} ${name}`].toFixed(2)} ×)`;
    });
    return `${name}: ${times.join(", ")}`;
  });
  return { measured: texts.join("; "), values };
}

export const contest = {
  file: "strings",
  name: "strings in and out, 8/128/1,024 units",
  targets: [],
  needs: ["glue"],
  race,
  outcome,
};
