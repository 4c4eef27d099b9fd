/**
 * A second pair of eyes: a Worker that looks at a share of a date's instruments, with an engine of its own, since an engine
 * keeps its thread busy.
 *
 * **In** a share, **Out** what was found. **Knows** `day`, `parquet`, `failure`.
 */
import { Misuse } from "../failure.ts";
import { Views } from "../parquet.ts";
import { Day, type Found } from "./day.ts";
import type { Ground } from "./run.ts";
import type { Files, Listed } from "./stand.ts";
import type { Suite } from "./suite.ts";
import type { Unit } from "./units.ts";

/** A share of a date, as it travels. */
export interface Share {
  readonly suite: Suite;
  readonly date: string;
  readonly ground: Omit<Ground, "files" | "hot" | "ledger" | "signal">;
  readonly files: Files;
  /** Where the suite compares the two. */
  readonly hot: Files | null;
  readonly hasLedger: boolean;
  readonly instruments: readonly Listed[];
  readonly units: readonly Unit[];
}

/** What comes back. */
type Reply = { readonly found: Found } | {
  readonly failure: string;
  readonly isMisuse: boolean;
  readonly stack: string;
};

/** The modules that the Worker loads, which a sandbox that runs a suite in several threads must let it read. */
export const MODULES = new URL("../", import.meta.url);

/** Looks at a share in a Worker of its own. @throws {Misuse} when evidence cannot be written */
export async function handOut(share: Share, signal: AbortSignal): Promise<Found> {
  const worker = new Worker(import.meta.url, { type: "module", name: HAND });
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const stop = () => reject(signal.reason);
  signal.addEventListener("abort", stop);
  worker.onmessage = ({ data }: MessageEvent<Reply>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`Cannot check share of ${share.date}: ${event.message}, must be a module that loads`));
  };
  worker.postMessage(share);
  try {
    const reply = await promise;
    if ("found" in reply) return reply.found;
    if (reply.isMisuse) throw new Misuse(reply.failure);
    throw Object.assign(new Error(reply.failure), { stack: reply.stack });
  } finally {
    signal.removeEventListener("abort", stop);
    worker.terminate();
  }
}

const HAND = "check";

async function look({ suite, date, ground, files, hot, hasLedger, instruments, units }: Share): Promise<Found> {
  using views = await Views.open();
  const whole: Ground = {
    ...ground,
    files: () => Promise.resolve(files),
    ...(hot !== null && { hot: () => Promise.resolve(hot) }),
    ...(hasLedger && { ledger: () => [] }),
    // Who wants it to stop ends the thread.
    signal: new AbortController().signal,
  };
  const day = await Day.open(suite, whole, views, date, instruments);
  await day.look(units);
  return day.found;
}

const scope = globalThis as unknown as {
  readonly name?: string;
  postMessage(reply: Reply): void;
  onmessage: (event: MessageEvent<Share>) => void;
};
if ("WorkerGlobalScope" in globalThis && scope.name === HAND) {
  scope.onmessage = ({ data }) =>
    void look(data).then(
      (found) => scope.postMessage({ found }),
      (error: Error) =>
        scope.postMessage({ failure: error.message, isMisuse: error instanceof Misuse, stack: error.stack ?? "" }),
    );
}
