import { attach } from "coheap/worker";
import { read } from "./exchange.mjs";

addEventListener("message", ({ data }) => postMessage(read(attach(data))), { once: true });
