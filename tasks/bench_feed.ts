/**
 * How long a live frame takes from the socket to the log: a pretended venue in a process of its own says so many frames a
 * second of so many instruments, `ingest` in another collects them, and this one reads `ticks.raw` as `validate` would.
 *
 * A delay ends where this process has read the tick, which is durable by then. It begins where `ingest` saw the frame
 * (`receivedTime`), and once more where the venue's engine made it (`eventTime`, whole ms): that holds whatever waited on
 * the way. The venue does not wait for anybody. All on the machine's own cores, which the venue and the reader take too.
 * **Knows** everything.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { columns } from "../lib/columns.ts";
import type { Ending } from "../lib/crew.ts";
import { Pretend } from "../lib/pretend.ts";
import { openTransport, TOPICS } from "../lib/transport.ts";
import type { World } from "../lib/world.ts";
import { openVenue } from "../lib/venue.ts";
import { shownWhole } from "./spread.ts";

/** What is offered, and for how long. */
export interface FeedOrders {
  readonly as: string;
  readonly instruments: number;
  /** Frames in a second. */
  readonly rate: number;
  readonly seconds: number;
}

const now = (): number => performance.timeOrigin + performance.now();
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** As deno.json's tasks have it. */
const YOUNG = "--v8-flags=--min-semi-space-size=32,--max-semi-space-size=32";
const PARTITIONS = 4;
/** Shortest wait of the venue between two lots of frames; between two of its words on how it fares, ms. */
const PACE_MS = 5, WORD_MS = 1_000;
/** Events of a lot: who is behind speaks all the same. */
const LOT_MAX = 2_000;
/** How long everything runs at full pace before it is measured, and how long a line of the table is, ms. */
const WARM_MS = 5_000, LINE_MS = 10_000;
/**
 * The venue's market: a little more than the deepest book that is asked for, few changes of it in a frame, and no more of
 * the past than it takes, since the venue must not be what is measured.
 */
const MARKET = { levels: 52, batch: 2, tradesMax: 100, booksMax: 1_000 };
/** Instruments of the market that a venue does not list, at most. */
const UNLISTED_MAX = 8;
/** The longest delay that is told from longer ones, and how finely, µs. */
const DELAY_MAX = 10_000_000, DELAY_STEP = 100;

/** Delays of any number in little room. */
class Delays {
  readonly #counts = new Uint32Array(DELAY_MAX / DELAY_STEP + 1);
  count = 0;
  max = 0;

  /** µs. */
  add(delay: number): void {
    this.#counts[Math.min(this.#counts.length - 1, Math.max(0, Math.floor(delay / DELAY_STEP)))]!++;
    this.count++;
    if (delay > this.max) this.max = delay;
  }

  addAll(other: Delays): void {
    other.#counts.forEach((n, i) => this.#counts[i]! += n);
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  /** ms, below which this share of them is. */
  below(share: number): number {
    let left = this.count * share, i = -1;
    while (left > 0 && i + 1 < this.#counts.length) left -= this.#counts[++i]!;
    return (i + 1) * DELAY_STEP / 1_000;
  }
}

/** What one of the processes has used. */
interface Spent {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}
/** What the venue says once a second. */
interface Word extends Spent {
  /** Frames that it wrote to its connections so far. */
  readonly written: number;
  readonly connections: number;
  /** Connections that ever came: more than there are when some broke. */
  readonly came: number;
  /** Whether everybody has subscribed, so that it goes at full pace. */
  readonly isPaced: boolean;
}

/** What a stretch of time came to. */
interface Stretch {
  readonly seconds: number;
  readonly framesPerSecond: number;
  readonly ticksPerSecond: number;
  readonly fromSocket: Delays;
  readonly fromVenue: Delays;
  /** Cores that each process has used. */
  readonly cores: { readonly venue: number; readonly ingest: number; readonly reader: number };
  /** Resident bytes at its end. */
  readonly memory: { readonly venue: number; readonly ingest: number };
}

/** Measures the live path once; `stop` ends it with what was measured so far. */
export async function benchFeed(orders: FeedOrders, say: (line: string) => void, stop: AbortSignal): Promise<Ending> {
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-bench-" });
  const venue = new Child(["run", "-A", YOUNG, fileURLToPath(import.meta.url), JSON.stringify(orders)]);
  let ingest: Child | null = null;
  const over = new AbortController();
  try {
    const place = JSON.parse(await venue.line()) as Place;
    const log = await openTransport(`log:${folder}/log`, world(say));
    await log.create(TOPICS.raw, PARTITIONS);
    let noted = { fromSocket: new Delays(), fromVenue: new Delays() };
    const reading = (async () => {
      for await (const { records } of log.receive({ topics: [TOPICS.raw], group: "bench", signal: over.signal })) {
        const at = now() * 1_000;
        for (const { value } of records) {
          noted.fromSocket.add(at - timeIn(value as string, RECEIVED));
          noted.fromVenue.add(at - timeIn(value as string, HAPPENED));
        }
      }
    })();
    const { channels } = (await openVenue(orders.as)).live!;
    ingest = new Child([
      ...["run", "-A", YOUNG, fileURLToPath(new URL("../cmd/ingest.ts", import.meta.url))],
      ...["--venue", orders.as, "--symbols", place.symbols.join(), "--channels", channels.join()],
      ...["--base", place.socketUrl, "--rest", place.restUrl, "--data", folder, "--metrics-port", "0", "--json"],
    ]);
    const metrics = await ingest.saying(/metrics at (\S+)/);
    say(`${orders.as}: ${place.symbols.length} instruments subscribe`);
    let word: Word;
    do word = JSON.parse(await venue.line()); while (!word.isPaced);
    const { connections, came } = word;
    say(`${connections} connections; ${orders.rate} frames/s for ${orders.seconds} s after ${WARM_MS / 1_000} s`);
    const due = now() + WARM_MS;
    while (now() < due) word = JSON.parse(await venue.line());

    const stretches: Stretch[] = [];
    const began = now();
    let before = { at: began, word, ingest: await spentBy(metrics), reader: process.cpuUsage() };
    noted = { fromSocket: new Delays(), fromVenue: new Delays() };
    while (now() < began + orders.seconds * 1_000 && !stop.aborted) {
      const until = Math.min(before.at + LINE_MS, began + orders.seconds * 1_000);
      while (now() < until && !stop.aborted) word = JSON.parse(await venue.line());
      const after = { at: now(), word, ingest: await spentBy(metrics), reader: process.cpuUsage() };
      const delays = noted;
      noted = { fromSocket: new Delays(), fromVenue: new Delays() };
      stretches.push(stretchOf(before, after, delays));
      say(shown([stretches.at(-1)!]).at(-1)!);
      before = after;
    }
    // What was not collected would have been fast.
    ingest.stop();
    const summary = JSON.parse(await ingest.last());
    const last = JSON.parse(await venue.line()) as Word;
    if (last.came > came) throw new Error(`Cannot measure "${orders.as}": ${last.came - came} connections broke`);
    over.abort();
    await reading;
    await log.close();
    return endingOf(orders, connections, stretches, summary);
  } finally {
    over.abort();
    await ingest?.end();
    await venue.end();
    await Deno.remove(folder, { recursive: true });
  }
}

type Snapshot = {
  readonly at: number;
  readonly word: Word;
  readonly ingest: Spent & { readonly frames: number };
  readonly reader: NodeJS.CpuUsage;
};

function stretchOf(before: Snapshot, after: Snapshot, delays: Pick<Stretch, "fromSocket" | "fromVenue">): Stretch {
  const seconds = (after.at - before.at) / 1_000;
  const { user, system } = after.reader;
  return {
    ...{ seconds, ...delays },
    framesPerSecond: (after.ingest.frames - before.ingest.frames) / seconds,
    ticksPerSecond: delays.fromSocket.count / seconds,
    cores: {
      venue: (after.word.cpuSeconds - before.word.cpuSeconds) / seconds,
      ingest: (after.ingest.cpuSeconds - before.ingest.cpuSeconds) / seconds,
      reader: (user + system - before.reader.user - before.reader.system) / 1e6 / seconds,
    },
    memory: { venue: after.word.memoryBytes, ingest: after.ingest.memoryBytes },
  };
}

const RECEIVED = '"receivedTime":', HAPPENED = '"eventTime":';

/** The time behind a name in a tick's text, µs. */
function timeIn(text: string, name: string): number {
  const at = text.indexOf(name) + name.length;
  return Number(text.slice(at, text.indexOf(",", at)));
}

/** What `ingest` itself says of its processor time, its memory and its frames. */
async function spentBy(metrics: string): Promise<Spent & { readonly frames: number }> {
  const text = await (await fetch(metrics)).text();
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))].reduce((all, [, n]) => all + Number(n), 0);
  return {
    cpuSeconds: sum("process_cpu_seconds_total"),
    memoryBytes: sum("process_resident_memory_bytes"),
    frames: sum("frames_total"),
  };
}

function world(report: (line: string) => void): World {
  return { now: () => Math.floor(now()), env: () => undefined, report, retryForMs: 0 };
}

/** A process of ours. What it says on stderr is kept for when it fails. */
class Child {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #errors: ReadableStreamDefaultReader<string>;
  #rest = "";
  #said = "";

  constructor(args: readonly string[]) {
    this.#process = new Deno.Command(Deno.execPath(), { args: [...args], stdout: "piped", stderr: "piped" }).spawn();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#errors = this.#process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line of its stdout. */
  async line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value } = await this.#lines.read();
      if (value === undefined) throw await this.#failure();
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  /** Waits until its stderr says this, and reads on from then on. */
  async saying(what: RegExp): Promise<string> {
    for (;;) {
      const found = what.exec(this.#said)?.[1];
      if (found !== undefined) {
        void this.#listen();
        return found;
      }
      const { value } = await this.#errors.read();
      if (value === undefined) throw await this.#failure();
      this.#said += value;
    }
  }

  async #listen(): Promise<void> {
    for (let said; (said = (await this.#errors.read()).value) !== undefined;) {
      this.#said = (this.#said + said).slice(-2_000);
    }
  }

  /** The last line of its stdout, when it has ended. */
  async last(): Promise<string> {
    for (let said; (said = (await this.#lines.read()).value) !== undefined;) this.#rest += said;
    if (!(await this.#process.status).success) throw await this.#failure();
    return this.#rest.trimEnd().split("\n").at(-1)!;
  }

  stop(): void {
    this.#process.kill("SIGTERM");
  }

  async end(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
  }

  async #failure(): Promise<Error> {
    const { code } = await this.#process.status;
    return new Error(
      `A process of the bench ended with ${code}: ${this.#said.trimEnd().split("\n").slice(-3).join("; ")}`,
    );
  }
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function shown(stretches: readonly Stretch[]): string[] {
  const head = [
    ...["seconds", "frames/s", "ticks/s", "socket → log ms p50 / p99 / max", "venue → log ms p50 / p99 / max"],
    ...["cores venue", "ingest", "reader", "MiB venue", "ingest"],
  ];
  const delays = (each: Delays): string =>
    [each.below(0.5), each.below(0.99), each.max / 1_000].map((ms) => ms.toFixed(1)).join(" / ");
  const body = stretches.map(({ seconds, framesPerSecond, ticksPerSecond, fromSocket, fromVenue, cores, memory }) => [
    ...[seconds.toFixed(0), shownWhole(framesPerSecond), shownWhole(ticksPerSecond)],
    ...[delays(fromSocket), delays(fromVenue)],
    ...[cores.venue, cores.ingest, cores.reader].map((n) => n.toFixed(2)),
    ...[mib(memory.venue), mib(memory.ingest)],
  ]);
  return columns([head, ...body], () => false);
}

function endingOf(
  orders: FeedOrders,
  connections: number,
  stretches: readonly Stretch[],
  summary: { readonly lines: number; readonly ticks: number; readonly memoryBytes: number },
): Ending {
  const seconds = stretches.reduce((sum, stretch) => sum + stretch.seconds, 0);
  const mean = (of: (stretch: Stretch) => number): number =>
    stretches.reduce((sum, stretch) => sum + of(stretch) * stretch.seconds, 0) / seconds;
  const [fromSocket, fromVenue] = [new Delays(), new Delays()];
  for (const stretch of stretches) {
    fromSocket.addAll(stretch.fromSocket);
    fromVenue.addAll(stretch.fromVenue);
  }
  const all: Stretch = {
    ...{ seconds, fromSocket, fromVenue },
    framesPerSecond: mean((stretch) => stretch.framesPerSecond),
    ticksPerSecond: mean((stretch) => stretch.ticksPerSecond),
    cores: {
      venue: mean(({ cores }) => cores.venue),
      ingest: mean(({ cores }) => cores.ingest),
      reader: mean(({ cores }) => cores.reader),
    },
    memory: stretches.at(-1)!.memory,
  };
  const told = ({ fromSocket, fromVenue, ...rest }: Stretch) => ({
    ...rest,
    ...{ fromSocketMs: msOf(fromSocket), fromVenueMs: msOf(fromVenue) },
  });
  return {
    text: [
      ...shown([...stretches, all]),
      "",
      `the last line is the whole; ${orders.instruments} instruments of ${orders.as} on ${connections} connections, ${
        shownWhole(orders.rate)
      } frames/s offered; ingest took ${shownWhole(summary.lines)} frames in all, ${
        mib(summary.memoryBytes)
      } MiB at its peak`,
    ].join("\n"),
    summary: { ...orders, connections, whole: told(all), stretches: stretches.map(told) },
    findings: 0,
  };
}

const msOf = (delays: Delays) => ({
  p50: delays.below(0.5),
  p99: delays.below(0.99),
  p999: delays.below(0.999),
  max: delays.max / 1_000,
});

/** Where the venue is, and what trades there. */
interface Place {
  readonly socketUrl: string;
  readonly restUrl: string;
  readonly symbols: readonly string[];
}

/** The venue's process: says where it is, and then once a second how it fares, until it is ended. */
async function serve({ as, instruments, rate }: FeedOrders): Promise<never> {
  const symbols = instruments + UNLISTED_MAX;
  const pretend = await Pretend.open({ as, symbols, ...MARKET, now: () => now() * 1_000 });
  const place = {
    socketUrl: pretend.socketUrl,
    restUrl: pretend.restUrl,
    symbols: pretend.symbols.slice(0, instruments),
  };
  console.log(JSON.stringify(place satisfies Place));
  const { channels } = (await openVenue(as)).live!;
  const topics = instruments * channels.length;
  let began = NaN, spoken = 0;
  for (;;) {
    if (Number.isNaN(began) && pretend.topics >= topics) began = now() - pretend.written * 1_000 / rate;
    // Until all have subscribed it goes on, since who waits for the first frame has not; but slowly.
    if (Number.isNaN(began)) pretend.step();
    else {
      const due = (now() - began) * rate / 1_000;
      for (let made = 0; made < LOT_MAX && pretend.written < due; made++) pretend.step();
    }
    if (now() >= spoken + WORD_MS) {
      spoken = now();
      const { user, system } = process.cpuUsage();
      const word: Word = {
        ...{ written: pretend.written, connections: pretend.connections, came: pretend.came },
        ...{ isPaced: !Number.isNaN(began), cpuSeconds: (user + system) / 1e6, memoryBytes: Deno.memoryUsage().rss },
      };
      console.log(JSON.stringify(word));
    }
    await pause(PACE_MS);
  }
}

if (import.meta.main) await serve(JSON.parse(Deno.args[0]!));
