// The ways of text that browsers take: no Buffer, and neither encodeInto nor decode on shared memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, watchdog } from "./support.mjs";

watchdog(120);

test("text_goes_in_and_out_in_an_engine_without_buffer", async () => {
  const { Buffer } = globalThis;
  const { encodeInto } = TextEncoder.prototype;
  const { decode } = TextDecoder.prototype;
  const refuse = (bytes) => {
    if (bytes?.buffer instanceof SharedArrayBuffer) throw new TypeError("no shared memory here");
  };
  TextEncoder.prototype.encodeInto = function (text, bytes) {
    refuse(bytes);
    return encodeInto.call(this, text, bytes);
  };
  TextDecoder.prototype.decode = function (bytes, ...rest) {
    refuse(bytes);
    return decode.call(this, bytes, ...rest);
  };
  globalThis.Buffer = undefined;
  let count = 0;
  try {
    const heap = await SharedHeap.create();
    const cell = heap.cell();
    const alphabets = [
      "a",
      "a\0z",
      "\xff\x80\x9f",
      "a\xe9",
      "\u0100a",
      "\ufeffa",
      "\ud800",
      "\udc00\ud800",
      "\ud83d\ude00",
      "a😀",
    ];
    const lengths = [0, 1, 5, 6, 12, 13, 64, 65, 512, 513, 1024, 1025, 6144, 6145, 28_672, 28_673, 90_000];
    for (const alphabet of alphabets) {
      for (const length of lengths) {
        for (const last of ["", "\xff", "\u0100", "\ud800"]) {
          const text = alphabet.repeat(Math.ceil(length / alphabet.length)).slice(0, length) + last;
          cell.set(text);
          assert.ok(cell.get() === text, `${length} of ${JSON.stringify(alphabet)}, then ${JSON.stringify(last)}`);
          assert.ok(cell.compareAndSet(text, "x") || text === "x");
          count++;
        }
      }
      await null;
    }
    await heap.audit();
  } finally {
    globalThis.Buffer = Buffer;
    TextEncoder.prototype.encodeInto = encodeInto;
    TextDecoder.prototype.decode = decode;
  }
  cases("text_goes_in_and_out_in_an_engine_without_buffer", count);
});
