// A second agent that has the fields of a contest open, and so shares them for as long as it lives.
import { attach } from "../js-host/dist/worker.js";
import { receive } from "./workers.mjs";

/** Keeps them from the garbage collector. */
const opened = [];

receive(({ token, handle }, tell) => {
  opened.push(attach(token).open(handle));
  tell("ready");
});
