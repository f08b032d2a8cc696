// A frame of the page is an agent of its own, though it runs in the page's thread: its end is that of its document.
import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage } from "./page.mjs";

test("browser_frame_that_is_unloaded_is_found", { timeout: 300_000 }, async () => {
  const found = await onPage((tab) =>
    tab.evaluate(async () => {
      const { SharedHeap } = await import("/js-host/dist/index.js");
      const heap = await SharedHeap.create();
      const before = await heap.audit();
      const ends = {
        "frame.remove": (frame) => frame.remove(),
        "another document": (frame) => frame.setAttribute("srcdoc", "another"),
      };
      const found = [];
      for (const [name, end] of Object.entries(ends)) {
        const frame = document.body.appendChild(document.createElement("iframe"));
        const script = `
          import { SharedHeap } from "/js-host/dist/index.js";
          const heap = SharedHeap.attach(parent.tokenOfFrame);
          window.held = [heap.list(), heap.bytes(undefined, 50_000)];
          const lock = () => navigator.locks.query();
          while ((await lock()).held.length === parent.locks) await new Promise((then) => setTimeout(then, 10));
          parent.attached();`;
        globalThis.locks = (await navigator.locks.query()).held.length;
        globalThis.tokenOfFrame = heap.token();
        await new Promise((resolve) => {
          globalThis.attached = resolve;
          frame.setAttribute("srcdoc", `<script type="module">${script}</script>`);
        });
        const lost = new Promise((resolve) => heap.on("agentlost", resolve));
        end(frame);
        const { agents, recovery } = await lost;
        const { liveBytes, agents: there, quarantined } = await heap.audit();
        const whole = liveBytes === before.liveBytes && there === 1 && quarantined === 0;
        found.push([name, agents, recovery.proof, recovery.reclaimedBytes > 50_000, whole]);
      }
      return found;
    }),
  );
  assert.deepEqual(found, [
    ["frame.remove", 1, "lock", true, true],
    ["another document", 1, "lock", true, true],
  ]);
  console.log(`cases browser_frame_that_is_unloaded_is_found ${found.length}`);
});
