// What became of workers that were killed in pages (kills-in-page.mjs), in whatever browser: checked, and added up.
import assert from "node:assert/strict";

/** Runs in the page. */
export async function killTen(seed) {
  const page = await import("/tests/browser/kills-in-page.mjs");
  return await page.killTen(seed);
}

export class PageKills {
  kills = 0;
  /** Blocks and pages that were freed, of which none has changed. */
  blocks = 0;
  /** Threads that went on when what they had was taken from them. */
  zombies = 0;
  proofs = {};

  add(found) {
    assert.deepEqual(found.changed, [], "what was freed is as it was");
    assert.ok(found.seesOneBit, "a bit that is changed there is seen");
    assert.deepEqual(found.left, { quarantined: 0, agents: 1 });
    for (const { place, proof, wentOn, refused, errors } of found.kills) {
      assert.deepEqual(errors, [], place);
      assert.ok(proof === "lock" || proof === "fence", `${place}: ${proof}`);
      // In a loop of its own nobody can tell whether it will write, until it has stopped. Then its turn is over: the fence may be quicker than the lock.
      if (proof === "lock" || place === "in its own loop" || place === "in its own wasm")
        assert.equal(wentOn, 0, `${place}: it has stopped`);
      else {
        this.zombies += wentOn > 0 ? 1 : 0;
        if (!place.startsWith("in its own")) assert.ok(refused > 0 || wentOn === 0, `${place}: it is refused`);
      }
      this.proofs[`${place}: ${proof}`] = (this.proofs[`${place}: ${proof}`] ?? 0) + 1;
    }
    this.kills += found.kills.length;
    this.blocks += found.freed;
  }

  /** Says what has come of all. */
  end() {
    const { kills, blocks, zombies, proofs } = this;
    console.log(`# ${kills} kills: ${JSON.stringify(proofs)}`);
    console.log(`# ${zombies} went on when what they had was taken from them; ${blocks} freed, none changed`);
    assert.ok(blocks > 10 * kills);
  }
}
