/** References that an agent has and that no wrapper answers for: those that a call needs while it runs, and those that could not be given back. */

/** One of them. */
export interface Loan {
  readonly index: number;
  readonly generation: number;
  /** Whether the call that it was made for still runs. Set to false by a plain store: at the end of the stack every call may fail. */
  used: boolean;
}

/** Those of one agent. */
export class Loans {
  /** Gives a reference back, unless a wrapper answers for it; answers whether that is done. */
  giveBack: (index: number, generation: number) => boolean = () => false;
  readonly #all: Loan[] = [];

  add(index: number, generation: number, used: boolean): Loan {
    const loan = { index, generation, used };
    this.#all.push(loan);
    return loan;
  }

  /** Gives back what no call needs any more. What cannot be given back now stays for the next time. */
  pay(): void {
    const all = this.#all;
    if (all.length === 0) return;
    try {
      // From the end: giving one back may add another there.
      for (let i = all.length - 1; i >= 0; i--) {
        const { index, generation, used } = all[i]!;
        if (!used && this.giveBack(index, generation)) all.splice(i, 1);
      }
    } catch {
      // At the end of the stack, or the agent is lost. To give one back twice does nothing.
    }
  }

  /** No call is running, so none needs anything, whatever left it. */
  end(): void {
    for (const loan of this.#all) loan.used = false;
    this.pay();
  }
}
