// The main job: agents attach and share a number, reading is measured beside messages, a file is summed in place, and a real request is
// sent whose headers a worker wrote into the heap; two workers count the words of its response from one pipe.
//   node main-job/main.mjs [file]

import { fileURLToPath } from "node:url";
import { shareACell } from "./cell.mjs";
import { CALLS, readByMessages, readNumbers, readPlain } from "./numbers.mjs";
import { setHeaders, setHeadersByMessages, writeHeaders } from "./request.mjs";
import { sumFile } from "./sum.mjs";
import { count, faces, MIB, openFile, RUNS, say, table, time } from "./support.mjs";
import { countBody } from "./words.mjs";

const path = process.argv[2] ?? fileURLToPath(new URL("../README.md", import.meta.url));
const file = openFile(path);
const { SharedHeap } = await import(faces.host.href);
const heap = await SharedHeap.create();

const shared = await shareACell(heap);
const heapRead = readNumbers(heap);
const messages = await readByMessages(heap);
say("   … and from an object of JavaScript's own.");
const plain = readPlain();
const { bytes, sum, own } = await sumFile(heap, file, path);
const requested = await countBody(heap, file, bytes, await writeHeaders(heap));
const heapRequest = setHeaders(heap);
const messageRequest = await setHeadersByMessages(heap);
const stats = await heap.audit();

say();
table([
  ["reading a number", "one call", "a million calls", "the founding document"],
  ["from the heap", time(heapRead), time(heapRead * CALLS), "10 ms"],
  ["by messages", time(messages.perCall), `${time(messages.perCall * CALLS)} (computed)`, "30 s"],
  ["plain JavaScript, the limit", time(plain), time(plain * CALLS), "–"],
]);
say();
table([
  ["a 5-header request", "one request", "the founding document"],
  ["through the heap", time(heapRequest), "0.03005 ms"],
  ["by messages", time(messageRequest.perRequest), "0.18 ms"],
]);
say(`   All of these times are medians of ${RUNS} runs.`);
const right = shared && sum === own && requested;
say(
  `   A message takes ${count(messages.perCall / heapRead)} times as long as a read from the heap (${count(messages.calls)} messages really sent).`,
);
say(
  `   A request by messages takes ${count(messageRequest.perRequest / heapRequest)} times as long as through the heap (${count(messageRequest.requests)} requests really made).`,
);
say(`   ${count(bytes)} bytes summed in place by two workers: ${sum === own ? "right" : "WRONG"}.`);
say(
  `   The heap is consistent: ${count(stats.liveBytes)} bytes live, ${count(stats.memoryBytes / MIB)} MiB in all, ${stats.agents === 1 ? "nobody but the host" : `${stats.agents} agents`} attached.`,
);
say(`   The process had at most ${count(process.resourceUsage().maxRSS / 1024)} MiB of memory.`);
heap.detach();
if (!right) process.exitCode = 1;
