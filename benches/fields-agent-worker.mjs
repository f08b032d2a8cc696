// A second agent that has the fields of a contest open, and so shares them for as long as it lives.
import { attach } from "../js-host/dist/worker.js";
import { receive } from "./workers.mjs";

let fields;

const port = await receive(({ token, handle, name }) => {
  fields = attach(token).open(handle);
  port.postMessage(fields.get(name));
});
