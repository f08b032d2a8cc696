// The body of the response, and the server that sends it: the file, a small one so often that there is something to share.

import { readSync } from "node:fs";
import { createServer, request } from "node:http";
import { MIB } from "./support.mjs";

const LEAST = 16 * MIB;
const PIECE = MIB / 4;

export class Body {
  #file;
  #size;
  /** How often it has the file. */
  times;
  /** Bytes in all. */
  total;

  constructor(file, size) {
    [this.#file, this.#size] = [file, size];
    this.times = Math.ceil(LEAST / size);
    this.total = size * this.times;
  }

  /** All of it, in pieces: what is smaller than a piece is read once. */
  *[Symbol.iterator]() {
    if (this.#size < PIECE) {
      const many = Buffer.alloc(this.#size * Math.ceil(PIECE / this.#size), this.#read(0));
      for (let left = this.total; left > 0; left -= many.length) yield many.subarray(0, left);
      return;
    }
    for (let time = 0; time < this.times; time++) {
      for (let from = 0; from < this.#size; from += PIECE) yield this.#read(from);
    }
  }

  #read(from) {
    const piece = Buffer.alloc(Math.min(PIECE, this.#size - from));
    return piece.subarray(0, readSync(this.#file, piece, 0, piece.length, from));
  }
}

/** Serves the body on loopback, and answers which headers the request had, as they came. */
export async function serve(body) {
  const server = createServer(async ({ rawHeaders }, response) => {
    response.setHeader("X-Request-Headers", encodeURIComponent(JSON.stringify(rawHeaders)));
    try {
      for (const piece of body) {
        if (!response.write(piece)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end();
    } catch (error) {
      response.destroy(error);
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return server;
}

/** Sends the request, and answers the response and the headers that the server saw. */
export function send(port, headers) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, headers, agent: false }, (response) => {
      const raw = JSON.parse(decodeURIComponent(response.headers["x-request-headers"]));
      const seen = raw.filter((_, i) => i % 2 === 0).map((name, i) => [name, raw[2 * i + 1]]);
      resolve({ response, seen });
    });
    outgoing.on("error", reject).end();
  });
}
