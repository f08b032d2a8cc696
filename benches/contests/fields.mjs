// HTTP fields in the heap, beside `Headers` and beside the message way. What is timed is shared: a second agent is attached meanwhile, which
// has those open that are read and set, and may open the others by their handles.
import { startMessages } from "../messages.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";
import { startWorker } from "../workers.mjs";

const LINES = [
  ["Accept", "text/html"],
  ["User-Agent", "coheap/1.0"],
  ["Accept-Language", "en"],
  ["X-Trace-Id", "7f3a9c"],
  ["Content-Type", "application/json"],
];

const targets = [
  { key: "request", atLeast: 2, text: "new + 5 set + drop ≥ 2 × faster than Headers" },
  { key: "init", atLeast: 3, text: "fields(init) of 5 ≥ 3 × faster than new Headers(init)" },
  { key: "get", atLeast: 2, text: "get ≥ 2 × faster than Headers" },
  { key: "set", atLeast: 2, text: "set ≥ 2 × faster than Headers" },
  { key: "messages", atLeast: 10, text: "≥ 10 × faster than 5 messages" },
];

function stepsOf(heap, fields) {
  const headers = new Headers(LINES);
  const expect = (value) => {
    if (value !== "7f3a9c") throw new Error(`the value is ${value}`);
  };
  const fill = (target) => {
    for (let i = 0; i < LINES.length; i++) target.set(LINES[i][0], LINES[i][1]);
  };
  return {
    request: () => {
      const made = heap.fields();
      fill(made);
      made.dispose();
    },
    requestHeaders: () => fill(new Headers()),
    init: () => heap.fields(LINES).dispose(),
    initHeaders: () => new Headers(LINES),
    get: () => expect(fields.get("X-Trace-Id")),
    getHeaders: () => expect(headers.get("X-Trace-Id")),
    set: () => fields.set("X-Trace-Id", "7f3a9c"),
    setHeaders: () => headers.set("X-Trace-Id", "7f3a9c"),
  };
}

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const messages = await startMessages();
  const token = heap.token();
  const fields = heap.fields(LINES);
  const agent = await startWorker("./fields-agent-worker.mjs", { token, handle: fields.handle });
  try {
    const steps = stepsOf(heap, fields);
    const ask = () => {
      for (const line of LINES) messages.ask(line);
    };
    for (let i = 0; i < 20; i++) for (const step of Object.values(steps)) time(step, 1000);
    time(ask, 20);
    const contestants = { messages: () => time(ask, milliseconds * 4) };
    for (const [name, step] of Object.entries(steps)) contestants[name] = () => time(step, milliseconds * 500);
    return { samples: await interleave(contestants, rounds), problems: [] };
  } finally {
    await messages.stop();
    await agent.terminate();
    heap.detach();
  }
}

function outcome({ samples }) {
  const values = { messages: ratio(samples.messages, samples.request) };
  for (const name of ["request", "init", "get", "set"]) values[name] = ratio(samples[`${name}Headers`], samples[name]);
  const line = (text, name) =>
    `${text} ${Math.round(median(samples[name]))} ns (Headers ${Math.round(median(samples[`${name}Headers`]))}, ${values[name].toFixed(2)} ×)`;
  const measured = [
    line("new + 5 set + drop", "request"),
    line("fields(init) of 5 + drop", "init"),
    line("get", "get"),
    line("set", "set"),
    `5 messages ${(median(samples.messages) / 1e3).toFixed(0)} µs (${Math.round(values.messages)} ×)`,
  ].join("; ");
  return { measured: `beside a second agent that has them open: ${measured}`, values };
}

export const contest = { file: "fields", name: "fields beside Headers", targets, race, outcome };
