/**
 * A pretended venue as a command: from flags to a server that goes on at a pace until it is stopped, out of the seeded
 * market or out of a recorded capture.
 *
 * **In** flags, clock and abort; **Out** a venue on a socket, and what it did.
 * **Knows** `pretend`, `history`, `capture`, `failure`, `world`.
 */
import { type CaptureLine, readCapture } from "./capture.ts";
import { Misuse, reasonOf } from "./failure.ts";
import type { Deed } from "./history.ts";
import { Pretend } from "./pretend.ts";
import type { World } from "./world.ts";

export interface Orders {
  readonly as: string;
  /** `HOST:PORT`. */
  readonly listen: string;
  readonly seed: number;
  readonly symbols: number;
  /** Events of the market, or frames of the capture; 0 for ever. */
  readonly ticks: number;
  /** Of them in a second; 0 for {@linkcode RATE}. */
  readonly rate: number;
  readonly mischief: number;
  readonly from?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface Means {
  readonly world: Pick<World, "now" | "report">;
  readonly until: (at: number) => Promise<void>;
  readonly signal: AbortSignal;
  readonly noted: ((deed: Deed) => void) | undefined;
  /** Called between two lots of events. */
  readonly paced: () => void;
}

/** Events of the market in a second, unless told otherwise. */
const RATE = 100;
/** Shortest wait, ms; and events between two looks at the clock. */
const PACE_MS = 5, LOT_MAX = 1_024;
/** Symbols that are named to people: all, unless there are very many. */
const SHOWN_MAX = 100;
/** Changes of a book that a frame tells: more than one, as venues that collect them for a while do. */
const BATCH = 4;

/** Serves until the abort, the number of events, or the capture's end. */
export async function serve(orders: Orders, { world, until, signal, noted, paced }: Means) {
  const { as, listen, seed, symbols, mischief, from, cert, key, ticks } = orders;
  if ((cert === undefined) !== (key === undefined)) {
    throw new Misuse(`Cannot serve TLS "${cert ?? key}": the other is missing, must be --cert and --key together`);
  }
  const [, hostname = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(listen) ?? [];
  const tls = cert === undefined || key === undefined ? {} : { tls: { cert: await read(cert), key: await read(key) } };
  const pretend = await Pretend.open({
    ...{ as, hostname, port: Number(port), seed, symbols, mischief, batch: BATCH, now: () => world.now() * 1000 },
    ...tls,
    ...(noted === undefined ? {} : { noted }),
  });
  const next = from === undefined ? null : linesOf(from, signal);
  try {
    // A capture waits for somebody; whether it can be read is to be known before.
    let line = await next?.next();
    const shown = from === undefined ? shownOf(pretend.symbols) : "what was recorded";
    world.report(`serves ${as} at ${pretend.socketUrl} and ${pretend.restUrl}: ${shown}`);
    // A market goes on by itself; a capture waits for who wants to see it.
    if (next !== null) await Promise.race([pretend.joined, aborted(signal)]);
    const rate = orders.rate || RATE;
    const began = world.now();
    let made = 0;
    const total = ticks || Infinity;
    let isOver = false;
    while (!isOver && !signal.aborted) {
      const ready = Math.min(
        total - made,
        Math.floor((world.now() - began) * rate / 1000) - made,
        LOT_MAX,
      );
      for (let i = 0; i < ready && !isOver; i++) {
        if (line === undefined) pretend.step();
        else if (line.done === true) isOver = true;
        else {
          pretend.play(line.value.frame, line.value.request);
          line = await next!.next();
        }
        if (!isOver) made++;
      }
      paced();
      isOver ||= made >= total;
      if (!isOver) await until(Math.max(began + (made + 1) * 1000 / rate, world.now() + PACE_MS));
    }
    const { came, struck } = pretend;
    return { text: `served ${made} events to ${came} connections; ${struck} faults struck`, made, came, struck };
  } finally {
    await next?.return();
    await pretend.close();
  }
}

function shownOf(symbols: readonly string[]): string {
  const shown = symbols.slice(0, SHOWN_MAX).join(", ");
  return symbols.length > SHOWN_MAX ? `${shown} and ${symbols.length - SHOWN_MAX} more` : shown;
}

async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<CaptureLine, void, undefined> {
  for await (const { lines } of readCapture(path, 0, signal)) yield* lines;
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) =>
    signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true })
  );

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Misuse(`Cannot read PEM "${path}": ${reasonOf(error)}, must be a readable file`);
  }
}
