// The message way's other side: a worker that answers each message through shared bytes and a wake-up.
import { receive } from "./workers.mjs";

let words;
let numbers;

receive((message, tell) => {
  if (message.shared) {
    words = new Int32Array(message.shared);
    numbers = new Float64Array(message.shared);
    tell("ready");
    return;
  }
  numbers[1] = message.index + 0.5;
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);
});
