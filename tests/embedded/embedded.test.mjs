// A threaded Rust program whose own memory has the heap: nightly Rust, std built from source.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { before, test } from "node:test";
import { SharedHeap } from "coheap";
import { attach } from "coheap/worker";
import { root, run } from "../../tools/process.mjs";
import { inPage } from "../browser/page.mjs";
import { atTheEndOfTheStack, cases, RemoteAgent, refuses, wasmBytes, watchdog } from "../js/support.mjs";

watchdog(660);

const { nightly, target } = JSON.parse(readFileSync(join(root, "tools", "versions.json"), "utf8"));
const example = join(root, "examples", "embedded");
const targets = join(root, "target", "embedded");

/** What cargo says; the example's folder has the settings that a program needs. */
function cargo(manifest, options, cwd, env) {
  const command = ["cargo", ...options, "--locked", "--manifest-path", join(root, manifest, "Cargo.toml")];
  return run(`cargo ${options.join(" ")}`, [...command, "--target", target], {
    cwd,
    env: { RUSTFLAGS: undefined, ...env },
    limitMinutes: 7,
  });
}

async function built(manifest, name) {
  // The same for both, so that std is built once.
  const profile = { CARGO_PROFILE_DEV_DEBUG: "false" };
  const { code, errors } = await cargo(manifest, [`+${nightly}`, "build", "--target-dir", targets], example, profile);
  assert.equal(code, 0, errors);
  return join(targets, target, "debug", `${name}.wasm`);
}

let indexing;
let file;
let program;
before(async () => {
  indexing = await built("examples/embedded", "index_words");
  file = await built("tests/embedded/program", "embedded_program");
  program = new WebAssembly.Module(readFileSync(file));
});

const imports = { user: { double: (number) => 2 * number } };
const start = (options) => SharedHeap.embed(program, { imports, ...options });

/** Runs `body(thread's exports, …values)` in a worker's thread. */
const runThread = (agent, body, ...values) =>
  agent.run(
    (heap, body, values) => {
      globalThis.thread ??= heap.thread({ imports: { user: { double: (number) => 2 * number } } });
      return new Function(`return (${body})`)()(globalThis.thread, ...values);
    },
    String(body),
    values,
  );

test("embedded_example_indexes_a_text_in_three_threads", async () => {
  const host = join(example, "host.mjs");
  const { code, output, errors } = await run("the example", [process.execPath, host, indexing], { limitMinutes: 2 });
  assert.equal(code, 0, errors);
  const words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"];
  const expected = words.map((word, number) => `${String(9_000 - 1_000 * number).padStart(7)}  ${word}`);
  const [first, ...printed] = output.trimEnd().split("\n");
  assert.equal(first, "9000 lines, taken by 3 threads");
  assert.deepEqual(printed.toSorted(), expected.toSorted());
  assert.match(readFileSync(join(example, "rust-toolchain.toml"), "utf8"), new RegExp(`^channel = "${nightly}"$`, "m"));
  cases("embedded_example_indexes_a_text_in_three_threads", 9_000);
});

test("embedded_threads_have_stacks_and_locals_of_their_own", async () => {
  const { heap, exports } = await start();
  assert.ok(heap.token().memory.buffer instanceof SharedArrayBuffer);
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const own = (thread, own) => {
    let frames = 0;
    for (let round = 1; round <= 200; round++) {
      if (thread.call() !== round) throw new Error("the thread-locals are another thread's");
      frames += thread.descend(700, own);
    }
    return frames;
  };
  const working = agents.map((agent, number) => runThread(agent, own, number + 1));
  const frames = [own(exports, 3), ...(await Promise.all(working))];
  assert.deepEqual(frames, [140_200, 140_200, 140_200]);
  assert.equal(exports.ask_user(21), 42);
  assert.equal(await runThread(agents[0], (thread) => thread.ask_user(21)), 42);
  for (const agent of agents) await agent.stop();
  assert.equal(heap.stats().agents, 3, "the first thread, JavaScript, and what JavaScript's instance allocates by");
  await heap.audit();
  cases("embedded_threads_have_stacks_and_locals_of_their_own", 420_600);
});

test("embedded_boxes_made_by_one_thread_are_freed_by_others", async () => {
  const { heap, exports } = await start();
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const working = agents.map((agent, number) =>
    runThread(agent, (thread, own) => thread.exchange(5_000, own), number + 1),
  );
  const made = exports.exchange(5_000, 3);
  assert.deepEqual(await Promise.all(working), [made, made]);
  exports.receive();
  for (const agent of agents) await agent.stop();
  await heap.audit();
  cases("embedded_boxes_made_by_one_thread_are_freed_by_others", 3 * made);
});

test("embedded_rust_and_javascript_share_maps_and_cells", async () => {
  const [times, keys] = [3_000, 7];
  const { heap, exports } = await start();
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const rust = runThread(agents[0], (thread, times, keys) => thread.add(times, keys), times, keys);
  const javascript = agents[1].run(
    (heap, times, keys) => {
      for (let step = 0; step < times; step++) heap.map("sums").add(`key ${step % keys}`, 1);
      return 0;
    },
    times,
    keys,
  );
  assert.equal(exports.add(times, keys), 0);
  assert.deepEqual(await Promise.all([rust, javascript]), [0, 0]);
  const sums = heap.map("sums");
  assert.equal(
    [...sums.values()].reduce((sum, one) => sum + one),
    3 * times,
  );
  assert.equal(sums.size, keys);

  const [question, answer] = [heap.cell("question"), heap.cell("answer", "")];
  for (const text of ["äöü€😀", "x".repeat(50_000), ""]) {
    question.set(text);
    const changed = answer.waitAsync(answer.get(), { timeout: 10_000 });
    assert.equal(await runThread(agents[0], (thread) => thread.answer()), 0);
    if (text !== "") assert.equal(await changed, "changed");
    assert.equal(answer.get(), [...text].reverse().join(""));
  }
  question.set(1);
  assert.ok(exports.answer() > 0, "what is no string is refused");
  for (const agent of agents) await agent.stop();
  heap.detach();
  assert.equal(exports.add(1, 1), 0, "the program goes on without JavaScript's agent");
  cases("embedded_rust_and_javascript_share_maps_and_cells", 3 * times);
});

test("embedded_program_has_threads_in_a_page_and_in_its_workers", async () => {
  const url = `/${relative(root, file).replaceAll(sep, "/")}`;
  const result = await inPage(async (url) => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const imports = { user: { double: (number) => 2 * number } };
    const { heap, exports } = await SharedHeap.embed(new URL(url, location.href), { imports });
    const agents = [await globalThis.start(heap), await globalThis.start(heap)];
    const working = agents.map((agent, own) =>
      agent.run((heap, own) => {
        const thread = heap.thread({ imports: { user: { double: (number) => 2 * number } } });
        const done = [
          thread.add(2_000, 7),
          thread.call(),
          thread.call(),
          thread.descend(700, own),
          thread.exchange(1_000, own),
        ];
        heap.detach();
        return done;
      }, own),
    );
    const done = [exports.add(2_000, 7), exports.call(), exports.descend(700, 9)];
    const others = await Promise.all(working);
    exports.receive();
    const { agents: left } = await heap.audit();
    const sum = [...heap.map("sums").values()].reduce((sum, one) => sum + one);
    return { done, others, sum, left, shared: heap.token().memory.buffer instanceof SharedArrayBuffer };
  }, url);
  const others = [0, 1, 2, 701, 1_000];
  assert.deepEqual(result, { done: [0, 1, 701], others: [others, others], sum: 6_000, left: 3, shared: true });
  cases("embedded_program_has_threads_in_a_page_and_in_its_workers", result.sum);
});

test("embedded_agents_and_threads_that_come_and_go_take_no_more_memory", async () => {
  const { heap } = await start();
  const come = () => {
    const other = attach(heap.token());
    other.thread({ imports, stack: 65_536 }).add(1, 1);
    other.cell("hits").add(1);
    other.detach();
  };
  for (let round = 0; round < 20; round++) come();
  const { buffer } = heap.token().memory;
  const [bytes, agents] = [buffer.byteLength, heap.stats().agents];
  const rounds = 300;
  for (let round = 0; round < rounds; round++) come();
  assert.equal(heap.token().memory.buffer.byteLength, bytes);
  assert.equal(heap.stats().agents, agents);
  assert.equal(heap.cell("hits").get(), rounds + 20);
  await heap.audit();
  cases("embedded_agents_and_threads_that_come_and_go_take_no_more_memory", rounds);
});

test("embedded_threads_that_die_in_a_call_hold_up_nobody", async () => {
  const deaths = 12;
  const { heap, exports } = await start();
  const sums = heap.map("sums");
  for (let death = 0; death < deaths; death++) {
    const agent = await RemoteAgent.start(heap);
    const before = sums.get("key 0") ?? 0;
    const dying = runThread(agent, (thread) => {
      for (;;) thread.add(100, 3);
    });
    dying.catch(() => {});
    while ((sums.get("key 0") ?? 0) < before + 100) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await agent.thread.terminate();
    const left = sums.get("key 0");
    assert.equal(exports.add(300, 3), 0);
    assert.equal(sums.get("key 0"), left + 100);
  }
  assert.equal(sums.size, 3);
  cases("embedded_threads_that_die_in_a_call_hold_up_nobody", deaths);
});

test("embedded_token_lets_in_one_agent_however_often_it_is_used", async () => {
  const { heap } = await start();
  const token = heap.token();
  const first = attach(token);
  refuses(() => attach(token), "COHEAP_INVALID_TOKEN");
  first.cell("hits").add(1);
  first.detach();
  refuses(() => attach(token), "COHEAP_INVALID_TOKEN");
  const next = attach(heap.token());
  refuses(() => attach(token), "COHEAP_INVALID_TOKEN", "its block is another's by now");
  next.cell("hits").add(1);
  const unused = heap.token();
  for (const thread of [unused.thread + 8, -16, 2 ** 32, "1"]) {
    refuses(() => attach({ ...unused, thread }), "COHEAP_INVALID_TOKEN");
  }
  refuses(() => attach({ ...unused, thread: unused.thread + 4_096 }), "COHEAP_INVALID_TOKEN");
  refuses(() => attach({ ...unused, thread: 2 ** 32 - 16 }), "COHEAP_CORRUPT");
  attach(unused).detach();
  assert.equal(heap.cell("hits").get(), 2);
  await heap.audit();
});

test("embedded_call_at_the_end_of_the_stack_leaves_the_heap_whole", async () => {
  const { heap, exports } = await start();
  const map = heap.map("map");
  const rounds = 40;
  for (let pad = 0; pad < rounds; pad++) {
    atTheEndOfTheStack(pad, () => {
      map.set(`key ${pad}`, "a value that has a block of its own");
      return true;
    });
    assert.equal(map.get(`key ${pad}`), "a value that has a block of its own");
  }
  assert.equal(exports.add(10, 1), 0);
  await heap.audit();
  cases("embedded_call_at_the_end_of_the_stack_leaves_the_heap_whole", rounds);
});

test("embedded_programs_that_do_not_fit_are_refused_by_what_they_lack", async () => {
  const lacks = async (program, reason, options) => {
    const { details } = await refuses(() => SharedHeap.embed(program, options), "COHEAP_WASM_UNAVAILABLE");
    assert.match(details.reason, reason);
  };
  await lacks(program, /double/);
  await lacks(program, /double/, { imports: { user: {} } });
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  await lacks(empty, /--import-memory/);
  // (module (import "env" "memory" (memory 1 65536 shared)))
  const importing = [2, 18, 1, 3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 3, 1, 128, 128, 4];
  await lacks(Uint8Array.of(...empty, ...importing), /export!/);
  await lacks(wasmBytes(), /env|import/i);
  for (const bad of [undefined, null, 5, {}]) await refuses(() => SharedHeap.embed(bad), "COHEAP_INVALID_ARGUMENT");
  await refuses(() => start({ maximum: "16 apples" }), "COHEAP_INVALID_ARGUMENT");
  await refuses(() => SharedHeap.embed(program, 5), "COHEAP_INVALID_ARGUMENT");
  const { heap } = await start();
  for (const stack of [0, 16_383, 2 ** 31, "1MiB", null]) {
    refuses(() => heap.thread({ imports, stack }), "COHEAP_INVALID_ARGUMENT");
  }
  const full = refuses(() => heap.thread({ imports, stack: 2 ** 30 }), "COHEAP_OUT_OF_MEMORY");
  assert.equal(full.details.maximum, 4_096 * 65_536);
  assert.ok(full.details.requested > 2 ** 30 && full.details.live <= full.details.maximum);
  refuses(() => heap.thread(), "COHEAP_WASM_UNAVAILABLE");
  heap.detach();
  refuses(() => heap.thread({ imports }), "COHEAP_DETACHED");
  const other = await SharedHeap.create();
  refuses(() => other.thread(), "COHEAP_WASM_UNAVAILABLE");
});

test("embedded_on_stable_rust_is_refused_with_the_reason", async () => {
  const flags = ["", "-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals"];
  for (const flag of flags) {
    const options = ["check", "--target-dir", join(root, "target", "ways")];
    const { code, errors } = await cargo("examples/embedded", options, root, { RUSTFLAGS: flag });
    assert.notEqual(code, 0);
    assert.match(errors, /thread_local! would be one for\s+all threads/);
    assert.match(errors, /-Z build-std=std,panic_abort/);
  }
  cases("embedded_on_stable_rust_is_refused_with_the_reason", flags.length);
});
