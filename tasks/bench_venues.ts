/**
 * How fast a venue's frames become ticks: its mapper on frames of trades and quotes, and on frames of books; the collector,
 * which maps, keeps books and tells of gaps; and books of a thousand levels alone. On recordings where there are some, in
 * memory before the clock starts; on the frames in `testdata/venue` else, which are few and odd.
 *
 * Each venue has a process of its own for each run, as `ingest` has, since code that has met only one is faster. The rate
 * is by the clock on the wall, and depends on who else is there; what the processor did for it does so less.
 * **Knows** everything.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import v8 from "node:v8";
import vm from "node:vm";
import { Keeper } from "../lib/book.ts";
import { Chance } from "../lib/chance.ts";
import { Collector } from "../lib/collect.ts";
import { columns } from "../lib/columns.ts";
import type { Ending } from "../lib/crew.ts";
import type { FeedEvent } from "../lib/feed.ts";
import type { Frame } from "../lib/frames.ts";
import { openSource } from "../lib/source.ts";
import type { Book, Delta, Tick } from "../lib/tick.ts";
import { openVenue, type Venue } from "../lib/venue.ts";
import { type Capture, RECORDED, written } from "../testdata/recordings.ts";
import { shownRange, shownWhole, type Spread, spread } from "./spread.ts";

/** What is measured again and again; answers how many ticks it gave, which must be the same each time. */
interface Work {
  readonly what: string;
  /** Frames that are recorded of it. */
  readonly recorded: number;
  /** Frames of a pass. */
  readonly frames: number;
  /** Levels that its books say in a pass. */
  readonly levels: number;
  pass(): number;
}

/** One measured run of some work. */
interface Run {
  readonly what: string;
  readonly recorded: number;
  readonly framesPerSecond: number;
  readonly cpuPerMillion: number;
  readonly levelsPerSecond: number;
}

/** What the process of a venue answers. */
interface Answer {
  readonly runs: readonly Run[];
  /** Live bytes after the first and the last tenth of a million frames through one collector. */
  readonly memory?: { readonly first: number; readonly last: number };
}

const CAPTURES = RECORDED.length > 0 ? RECORDED : written();

/** What stands for the venue where no venue is measured but books alone. */
const BOOKS = "1,000 levels";

/** Measures of some work at one venue. */
interface Line {
  readonly what: string;
  readonly on: string;
  readonly recorded: number;
  readonly framesPerSecond: Spread;
  readonly cpuPerMillion: Spread;
  readonly levelsPerSecond: Spread;
}

/** Measures every venue of which there is a recording. */
export async function benchVenues(count: number, say: (line: string) => void): Promise<Ending> {
  const source = RECORDED.length > 0 ? "recordings" : "testdata/venue, since TAPEDECK_RECORDINGS names no folder";
  const runs = new Map<string, { readonly on: string; readonly runs: Run[] }>();
  const memory: Record<string, NonNullable<Answer["memory"]>> = {};
  for (let i = 0; i < count; i++) {
    for (const on of [...new Set(CAPTURES.map(({ venue }) => venue)), BOOKS]) {
      say(`${on}, run ${i + 1} of ${count}`);
      const answer = await ask(on, i === 0);
      if (answer.memory !== undefined) memory[on] = answer.memory;
      for (const run of answer.runs) {
        const key = `${on} ${run.what}`;
        const known = runs.get(key) ?? { on, runs: [] };
        known.runs.push(run);
        runs.set(key, known);
      }
    }
  }
  const lines = [...runs.values()].map(({ on, runs }): Line => ({
    ...{ what: runs[0]!.what, on, recorded: runs[0]!.recorded },
    framesPerSecond: spread(runs.map((run) => run.framesPerSecond)),
    cpuPerMillion: spread(runs.map((run) => run.cpuPerMillion)),
    levelsPerSecond: spread(runs.map((run) => run.levelsPerSecond)),
  }));
  return { text: textOf(lines, memory, source, count), summary: { source, runs: count, lines, memory }, findings: 0 };
}

/** Has a process of its own measure a venue once. */
async function ask(on: string, isMemoryAsked: boolean): Promise<Answer> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", YOUNG, fileURLToPath(import.meta.url), on, ...(isMemoryAsked ? ["memory"] : [])],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot measure "${on}": ended with ${code}: ${text.decode(stderr).trimEnd()}`);
  return JSON.parse(text.decode(stdout));
}

/** As deno.json's tasks have it. */
const YOUNG = "--v8-flags=--min-semi-space-size=32,--max-semi-space-size=32";

const SECOND = 1_000;
/** How long some work is done before it is measured, ms: until then it is compiled. */
const WARM_MS = SECOND / 2;

function measure({ what, recorded, frames, levels, pass }: Work): Run {
  const expected = pass();
  const begun = performance.now();
  let passes = 0, elapsed = 0;
  for (; elapsed < WARM_MS; elapsed = performance.now() - begun) {
    pass();
    passes++;
  }
  const wanted = Math.ceil(passes * SECOND / elapsed);
  const before = process.cpuUsage();
  const start = performance.now();
  let ticks = 0;
  for (let i = 0; i < wanted; i++) ticks += pass();
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(before);
  // One that loses some looks fast.
  if (ticks !== wanted * expected) {
    throw new Error(`Cannot measure ${what}: ${ticks} ticks, must be ${wanted * expected}`);
  }
  const done = frames * wanted;
  return {
    ...{ what, recorded, framesPerSecond: done / seconds, cpuPerMillion: (user + system) / done },
    levelsPerSecond: levels * wanted / seconds,
  };
}

const never = new AbortController().signal;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;

/** What one connection said, and of which instruments. */
interface Session {
  readonly symbols: readonly string[];
  readonly frames: readonly Frame[];
}

/** What a capture holds, as what a connection said. Answers that name no instrument are about the one that the rest is about. */
async function sessionOf(venue: Venue, { path }: Capture): Promise<Session> {
  const all: Frame[] = [];
  await using source = await openSource(path, venue, undefined, world);
  for await (const { frames } of source.read(0, never)) for (const frame of frames) all.push(frame);
  const symbols = [
    ...new Set(
      all.flatMap(({ frame, receivedTime, symbol }) =>
        venue.map(frame, receivedTime, symbol).ticks.map((tick) => tick.symbol)
      ),
    ),
  ];
  const [symbol] = symbols;
  return { symbols, frames: symbol === undefined ? all : all.map((frame) => ({ symbol, ...frame })) };
}

/** A session is said over again until it has so many frames: beginning and ending one costs more than a frame. */
const SESSION_FRAMES = 1_000;

/** A session from its beginning to its end, as a collector hears it. */
function* heard(venue: Venue, { symbols, frames }: Session, connection: string): Generator<Frame> {
  const receivedTime = 1.7e15;
  const tell = (event: FeedEvent): Frame => (
    { venue: venue.name, connection, number: 0, receivedTime, isEvent: true, frame: JSON.stringify(event) }
  );
  const about = { kind: "event", connection, receivedTime, symbols } as const;
  yield tell({ ...about, event: "connected", replaces: null });
  yield tell({ ...about, event: "subscribed" });
  for (let said = 0; said < SESSION_FRAMES && frames.length > 0; said += frames.length) {
    for (const frame of frames) yield { ...frame, connection };
  }
  yield tell({ ...about, event: "disconnected", why: "closed", code: null, detail: null, successor: null });
}

const levelsOf = (ticks: readonly Tick[]): number =>
  ticks.reduce((sum, tick) => "bids" in tick ? sum + tick.bids.length + tick.asks.length : sum, 0);

/** The work of a venue. */
function worksOf(venue: Venue, sessions: readonly Session[]): Work[] {
  const trades: Frame[] = [], books: Frame[] = [];
  let levels = 0;
  const frames = sessions.flatMap((session) => session.frames);
  for (const frame of frames) {
    const { ticks, volumes } = venue.map(frame.frame, frame.receivedTime, frame.symbol);
    if (ticks.length === 0 && volumes === undefined) continue;
    (levelsOf(ticks) > 0 ? books : trades).push(frame);
    levels += levelsOf(ticks);
  }
  const mapping = (what: string, frames: readonly Frame[], levels: number): Work => ({
    ...{ what, recorded: frames.length, frames: frames.length, levels },
    pass() {
      let ticks = 0;
      for (const { frame, receivedTime, symbol } of frames) {
        ticks += venue.map(frame, receivedTime, symbol).ticks.length;
      }
      return ticks;
    },
  });
  const all = sessions.flatMap((session, i) => [...heard(venue, session, `bench-${i}`)]);
  const collecting: Work = {
    ...{ what: "collector", recorded: frames.length, frames: all.length, levels: 0 },
    pass() {
      const collector = new Collector(venue, { names: false });
      let ticks = 0;
      for (const frame of all) ticks += collector.take(frame).ticks.length;
      return ticks;
    },
  };
  return [mapping("trades, quotes", trades, 0), mapping("books", books, levels), collecting]
    .filter(({ frames }) => frames > 0);
}

const MEMORY_FRAMES = 1_000_000;

/** Live bytes while one collector hears the same sessions again and again, each time on a connection of its own. */
function remembered(venue: Venue, sessions: readonly Session[]): Answer["memory"] {
  v8.setFlagsFromString("--expose-gc");
  const collect: () => void = vm.runInNewContext("gc");
  const live = (): number => {
    collect();
    return Deno.memoryUsage().heapUsed;
  };
  const collector = new Collector(venue, { names: true });
  let taken = 0, first = 0;
  for (let i = 0; taken < MEMORY_FRAMES; i++) {
    for (const session of sessions) {
      for (const frame of heard(venue, session, `bench-${i}`)) {
        collector.take(frame);
        taken++;
      }
    }
    if (first === 0 && taken >= MEMORY_FRAMES / 10) first = live();
  }
  return { first, last: live() };
}

const LEVELS = 1_000, INSTRUMENTS = 10, CHANGES_AT_ONCE = 20, DELTAS = 10_000;

/** Seeded changes to books of {@linkcode LEVELS} levels a side, most of them near the best as in a market. */
function changing(): Work {
  const chance = Chance.of(1, 0);
  const time = 1.7e15;
  const common = { venue: "binance", eventTime: time, receivedTime: time, id: null } as const;
  const priceOf = (side: 1 | -1, level: number): string => ((6_000_000 - side * (level + 1)) / 100).toFixed(2);
  const sizeOf = (): string => (1 + chance.below(1_000_000) / 1e5).toFixed(5);
  // Of two prices each one has a level, and whichever is set the other one goes: a book keeps its size.
  const sides = Array.from({ length: 2 * INSTRUMENTS }, () => Array.from({ length: LEVELS }, () => 0));
  const whole = (side: 1 | -1): [string, string][] =>
    Array.from({ length: LEVELS }, (_, level) => [priceOf(side, 2 * level), sizeOf()]);
  const books = Array.from({ length: INSTRUMENTS }, (_, i): Book => ({
    ...{ type: "book", ...common, symbol: `S${i}`, sequence: 1, bids: whole(1), asks: whole(-1) },
  }));
  const deltas = Array.from({ length: DELTAS }, (_, n): Delta => {
    const i = n % INSTRUMENTS, id = 2 + Math.floor(n / INSTRUMENTS);
    const changed: [[string, string][], [string, string][]] = [[], []];
    for (let made = 0; made < CHANGES_AT_ONCE;) {
      const half = chance.below(2);
      const level = chance.below(2) === 0 ? chance.below(20) : chance.below(LEVELS);
      const side = half === 0 ? 1 : -1;
      const taken = sides[2 * i + half]!;
      if (chance.below(4) > 0) {
        changed[half]!.push([priceOf(side, 2 * level + taken[level]!), sizeOf()]);
        made++;
        continue;
      }
      changed[half]!.push([priceOf(side, 2 * level + taken[level]!), "0.00000"]);
      taken[level] = 1 - taken[level]!;
      changed[half]!.push([priceOf(side, 2 * level + taken[level]!), sizeOf()]);
      made += 2;
    }
    const [bids, asks] = changed;
    return {
      ...{ type: "delta", ...common, symbol: `S${i}`, sequence: id, bids, asks },
      ...{ firstId: id, lastId: id, previousId: id - 1 },
    };
  });
  return {
    ...{ what: "books kept", recorded: 0, frames: INSTRUMENTS + DELTAS, levels: levelsOf(books) + levelsOf(deltas) },
    pass() {
      const keeper = new Keeper({ discipline: "splice" });
      for (const tick of books) keeper.take({ kind: "book", ticks: [tick] });
      for (const tick of deltas) keeper.take({ kind: "delta", ticks: [tick] });
      return books.reduce((sum, { symbol }) => sum + keeper.read(symbol)!.bids.length, 0);
    },
  };
}

function textOf(
  lines: readonly Line[],
  memory: Readonly<Record<string, NonNullable<Answer["memory"]>>>,
  source: string,
  runs: number,
): string {
  const head = ["what", "on", "recorded", "frames/s", "CPU s per million", "levels/s"];
  const body = lines.map((line) => [
    ...[line.what, line.on, line.recorded > 0 ? shownWhole(line.recorded) : ""],
    shownRange(line.framesPerSecond, shownWhole),
    shownRange(line.cpuPerMillion, (n) => n.toFixed(2)),
    line.levelsPerSecond.high > 0 ? shownRange(line.levelsPerSecond, shownWhole) : "",
  ]);
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const kept = Object.entries(memory).map(([on, { first, last }]) => `${on} ${mib(first)} → ${mib(last)}`);
  return [
    ...columns([head, ...body], (name) => head.indexOf(name) < 2),
    "",
    `MiB in use after ${shownWhole(MEMORY_FRAMES / 10)} and ${shownWhole(MEMORY_FRAMES)} frames in one collector: ${
      kept.join(", ")
    }`,
    `medians and ranges of ${runs} runs on ${source}`,
  ].join("\n");
}

/** Measures what is named, once. */
async function answer(on: string, isMemoryAsked: boolean): Promise<Answer> {
  if (on === BOOKS) return { runs: [measure(changing())] };
  const venue = await openVenue(on);
  const sessions: Session[] = [];
  for (const capture of CAPTURES) if (capture.venue === on) sessions.push(await sessionOf(venue, capture));
  const runs = worksOf(venue, sessions).map(measure);
  const memory = isMemoryAsked ? remembered(venue, sessions) : undefined;
  return { runs, ...(memory !== undefined && { memory }) };
}

if (import.meta.main) {
  const [on, memory] = Deno.args;
  console.log(JSON.stringify(await answer(on!, memory !== undefined)));
}
