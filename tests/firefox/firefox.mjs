// A page in headless Firefox, driven by Marionette, the protocol that geckodriver speaks to it: JSON over a socket, so nothing is to be installed.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "../browser/page.mjs";

const program = process.env.FIREFOX ?? "firefox-esr";
/** Where Firefox says which port it took. */
const PORT_FILE = "MarionetteActivePort";
const SETTINGS = `user_pref("marionette.port", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
`;

/** Commands, one after the other: [0, number, name, values], answered by [1, number, error, result], each behind its length. */
class Marionette {
  #socket;
  #received = Buffer.alloc(0);
  #waiting = [];
  #number = 0;

  static async to(port) {
    const marionette = new Marionette();
    const greeting = new Promise((resolve, reject) => marionette.#waiting.push({ resolve, reject }));
    marionette.#socket = connect(port, "127.0.0.1");
    marionette.#socket.on("data", (bytes) => marionette.#receive(bytes));
    marionette.#socket.on("error", (error) => marionette.#fail(error));
    marionette.#socket.on("close", () => marionette.#fail(new Error("Firefox has closed the connection")));
    await greeting;
    return marionette;
  }

  command(name, values = {}) {
    const text = JSON.stringify([0, ++this.#number, name, values]);
    this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #receive(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(":");
      const end = colon + 1 + Number(this.#received.subarray(0, colon));
      if (colon === -1 || this.#received.length < end) return;
      const message = JSON.parse(this.#received.subarray(colon + 1, end));
      this.#received = this.#received.subarray(end);
      const { resolve, reject } = this.#waiting.shift();
      const [, , error, result] = Array.isArray(message) ? message : [];
      if (error) reject(new Error(`${error.error}: ${error.message}\n${error.stacktrace}`));
      else resolve(result);
    }
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

async function portOf(profile, firefox) {
  const file = join(profile, PORT_FILE);
  while (firefox.exitCode === null) {
    const port = existsSync(file) ? Number.parseInt(readFileSync(file, "utf8"), 10) : Number.NaN;
    if (port > 0) return port;
    await sleep(20);
  }
  throw new Error(`${program} ended with ${firefox.exitCode}`);
}

/** Hands `use` what runs a function in a fresh, isolated page that is served from `folder`: `evaluate(body, value)`. */
export async function onFirefoxPage(folder, use) {
  const profile = mkdtempSync(join(tmpdir(), "coheap-firefox-"));
  writeFileSync(join(profile, "user.js"), SETTINGS);
  const server = await serve(folder, "<!doctype html><meta charset=utf-8><title>coheap</title>");
  const firefox = spawn(program, ["--headless", "--marionette", "--no-remote", "--profile", profile], {
    stdio: "ignore",
    env: { ...process.env, HOME: profile },
  });
  const ended = once(firefox, "exit");
  try {
    const marionette = await Marionette.to(await portOf(profile, firefox));
    await marionette.command("WebDriver:NewSession", {});
    await marionette.command("WebDriver:SetTimeouts", { script: 240_000 });
    await marionette.command("WebDriver:Navigate", { url: `http://127.0.0.1:${server.address().port}/` });
    const evaluate = async (body, value) => {
      // In the page's own realm: Marionette's has other arrays and other objects.
      const text = `(async (value) => {
        try { return JSON.stringify({ value: await (${body})(value) }); }
        catch (error) { return JSON.stringify({ error: error + "\\n" + error.stack }); }
      })(${JSON.stringify(value)})`;
      const script = `const answer = arguments[1];
        (window.wrappedJSObject ?? window).eval(arguments[0]).then(answer);`;
      const given = { script, args: [text], sandbox: null, newSandbox: false };
      const { value: result } = await marionette.command("WebDriver:ExecuteAsyncScript", given);
      const { error, value: answer } = JSON.parse(result);
      if (error !== undefined) throw new Error(`in the page: ${error}`);
      return answer;
    };
    return await use({ evaluate });
  } finally {
    firefox.kill("SIGKILL");
    await ended;
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
