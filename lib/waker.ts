/**
 * Wakes a waiting reader when a folder changes or a signal fires, and calls the roll of its group now and then.
 *
 * **In** folders and signals, **Out** a promise a wait. **Knows** nothing.
 */

/** How often a reader looks for members that died without ringing. */
const ROLL_CALL_MS = 500;

/** One reader's alarm; close it when the reader ends. */
export class Waker {
  /** Whether members may have come or gone since this was last set to false. */
  membership = true;
  readonly #watcher: Deno.FsWatcher;
  readonly #signals: readonly AbortSignal[];
  readonly #rollCall: ReturnType<typeof setInterval>;
  #ring: () => void = () => {};
  #rung = false;
  readonly #wake = (): void => {
    this.#rung = true;
    this.#ring();
  };

  constructor(folders: readonly string[], signals: readonly (AbortSignal | undefined)[]) {
    this.#watcher = Deno.watchFs([...folders]);
    this.#signals = signals.filter((signal) => signal !== undefined);
    for (const signal of this.#signals) signal.addEventListener("abort", this.#wake);
    this.#rollCall = setInterval(() => {
      this.membership = true;
      this.#wake();
    }, ROLL_CALL_MS);
    this.#follow();
  }

  async #follow(): Promise<void> {
    for await (const event of this.#watcher) {
      if (event.kind === "access") continue;
      if (event.paths.some((path) => path.endsWith("/bell"))) this.membership = true;
      if (event.paths.some((path) => path.endsWith(".jsonl") || path.endsWith("/bell"))) this.#wake();
    }
  }

  /** Resolves at the next ring, at once if it rang since the last wait. */
  async wait(): Promise<void> {
    if (!this.#rung) await new Promise<void>((resolve) => this.#ring = resolve);
    this.#rung = false;
  }

  close(): void {
    clearInterval(this.#rollCall);
    this.#watcher.close();
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#wake);
  }
}
