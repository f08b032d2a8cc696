import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { cases, watchdog } from "./support.mjs";

watchdog(120);

const face = new URL("../../js-host/dist/index.js", import.meta.url);
const worker = new URL("./agent-worker.mjs", import.meta.url);

/** Runs a module in a Node of its own; answers its exit code and output, or "alive" and its output when it had not ended so long after that. */
function node(body, seconds) {
  const text = `import { Worker } from "node:worker_threads";
    import { SharedHeap } from ${JSON.stringify(face.href)};
    const heap = await SharedHeap.create();
    ${body}`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", text], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    const end = () => {
      child.kill("SIGKILL");
      resolve(`alive ${output.trim()}`);
    };
    let timer = setTimeout(end, 60_000);
    child.stdout.on("data", (data) => {
      output += data;
      clearTimeout(timer);
      timer = setTimeout(end, seconds * 1000);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve(`${code} ${output.trim()}`);
    });
  });
}

test("node_ends_by_itself_unless_a_wait_is_pending", async () => {
  const adopted = `
    const token = heap.token();
    const worker = new Worker(new URL(${JSON.stringify(worker.href)}), { workerData: { token, face: "worker" }, execArgv: [] });
    heap.adopt(worker, token);
    await new Promise((resolve) => worker.once("message", resolve));
    worker.unref();`;
  const rows = [
    ["const cell = heap.cell('x'); for (let i = 0; i < 1000; i++) cell.add(1); console.log(cell.get());", "0 1000"],
    ["SharedHeap.attach(heap.token()); console.log((await heap.audit()).agents);", "0 2"],
    [`${adopted} console.log(heap.stats().adopted);`, "0 1"],
    ["heap.cell('x').waitAsync(0, { timeout: 300 }).then((outcome) => console.log(outcome));", "0 timed-out"],
    [
      "const c = new AbortController(); heap.cell('x').waitAsync(0, { signal: c.signal }).catch(() => console.log('aborted')); c.abort();",
      "0 aborted",
    ],
    ["heap.cell('x').waitAsync(0).catch((error) => console.log(error.code)); heap.detach();", "0 COHEAP_DETACHED"],
    ["heap.cell('x').waitAsync(0); console.log('waits');", "alive waits"],
    ["const pipe = heap.pipe(); pipe.tryWrite('x'); pipe.readable; pipe.writable; console.log(pipe.available);", "0 1"],
  ];
  const pipes = `
    const full = heap.pipe(undefined, { capacity: 4096 });
    full.tryWrite(new Uint8Array(4096));
    const empty = heap.pipe();`;
  for (const wait of ["empty.read()", "empty.lease()", "full.write('y')", "full.writeMany(['y'])"]) {
    rows.push(
      [`${pipes} ${wait}; console.log("waits");`, "alive waits"],
      [`${pipes} ${wait}.then(() => console.log("ended")); empty.tryWrite("x"); full.tryRead();`, "0 ended"],
      [`${pipes} ${wait}.catch(({ code }) => console.log(code)); heap.detach();`, "0 COHEAP_DETACHED"],
    );
  }
  const isAlive = ([, expected]) => expected.startsWith("alive");
  const check = async ([body, expected], seconds) => assert.equal(await node(body, seconds), expected, body);
  for (const row of rows) if (!isAlive(row)) await check(row, 20);
  await Promise.all(rows.filter(isAlive).map((row) => check(row, 3)));
  cases("node_ends_by_itself_unless_a_wait_is_pending", rows.length);
});
