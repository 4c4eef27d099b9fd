/**
 * One round of a storm: a market, its judge and both sinks at the same time, in memory, struck as a plan says and started
 * again whenever they fall, until all is drained; then the law. For each partition the books must balance with nothing
 * behind, and hold exactly what a calm round of the same market holds.
 *
 * **In** a plan, **Out** what is wrong, and the trace. **Knows** everything.
 */
import simulate from "../../cmd/simulate.ts";
import sinkCold from "../../cmd/sink-cold.ts";
import sinkHot from "../../cmd/sink-hot.ts";
import validate from "../../cmd/validate.ts";
import { type Books, closeBooks } from "../../lib/books.ts";
import { Outage, reasonOf, Refusal } from "../../lib/failure.ts";
import { COMMON, readFlags } from "../../lib/flag.ts";
import { openHot } from "../../lib/hot.ts";
import { openLake } from "../../lib/lake.ts";
import { perform, type Stage } from "../../lib/stage.ts";
import { openTransport } from "../../lib/transport.ts";
import { cutPower } from "../../lib/transport/memory.ts";
import type { World } from "../../lib/world.ts";
import { type Doors, Incarnation, Killed, type Swap } from "./incarnation.ts";
import { type Plan, Sweep } from "./plan.ts";

const PARTITIONS = 2;
/** Runs of the simulator, one after another: each goes on where the last one ended. */
const SESSIONS = 3;
const MARKET = ["--ticks", "90", "--symbols", "9", "--faults", "0.1"];
/** A stage that falls more often than this does not drain. */
const LIVES_MAX = 500;

/** What a round came to. */
export interface Result {
  /** What is wrong, a line each. */
  readonly wrong: readonly string[];
  /** Hash of every operation and its fate, in order. */
  readonly trace: string;
  readonly faults: readonly string[];
  readonly books: readonly Books[];
}

/** What a round without faults comes to: its books, and how many messages the log held after each session. */
interface Calm {
  readonly books: readonly Books[];
  readonly ends: readonly number[];
}

let rounds = 0;
let calm: Promise<Calm> | undefined;

/** Runs a round. `swap` plants a stage that marks its progress before it has written. */
export async function round(plan: Plan, swap: Swap | null = null): Promise<Result> {
  const wanted = await (calm ??= weather(new Sweep(0, "pass"), null, null));
  const { books, wrong } = await weather(plan, swap, wanted.ends);
  return {
    wrong: [...wrong, ...books.flatMap((book, p) => objections(book, wanted.books[p]!))],
    trace: plan.trace,
    faults: plan.faults,
    books,
  };
}

/** `ends` are those of the calm round; null when this is the calm round. */
async function weather(
  plan: Plan,
  swap: Swap | null,
  ends: readonly number[] | null,
): Promise<Calm & { readonly wrong: readonly string[] }> {
  const name = `storm-${++rounds}`;
  const world: World = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
  const lives = new Set<Incarnation>();
  const doors: Doors = {
    log: await openTransport(`memory:${name}`, world),
    hot: await openHot(`memory:${name}`, world),
    lake: await openLake(`memory:${name}`, world),
    cutPower: () => {
      for (const life of lives) life.end();
      cutPower(name);
    },
  };
  const wrong: string[] = [];
  const sky = { doors, plan, swap, wrong, lives };
  const judged = new AbortController(), stored = new AbortController(), never = new AbortController();
  const made: number[] = [];
  const saved = async (): Promise<number> => (await doors.log.load("simulate", 0))?.nextOffset ?? 0;
  const source = async (): Promise<void> => {
    for (let session = 0; session < SESSIONS; session++) {
      // Each run adds its ticks, so one that fell after its last word must not be run again.
      await live(sky, simulate, MARKET, never.signal, async () => ends !== null && await saved() >= ends[session]!);
      made.push(await saved());
    }
    judged.abort();
  };
  const judge = async (): Promise<void> => {
    await live(sky, validate, ["--checkpoint-every", "40"], judged.signal);
    stored.abort();
  };
  // The topics are there before anybody reads them, so that nothing depends on who comes first.
  for (const topic of ["ticks.raw", "ticks.valid", "ticks.rejected"]) await doors.log.create(topic, PARTITIONS);
  await Promise.all([
    source(),
    judge(),
    live(sky, sinkHot, [], stored.signal),
    live(sky, sinkCold, ["--unit-rows", "30"], stored.signal),
  ]);
  const { log, hot, lake } = doors;
  const signal = never.signal;
  const books = await closeBooks({ log, ranges: (topic) => log.ranges(topic), hot, lake, signal });
  return { books, ends: made, wrong };
}

interface Sky {
  readonly doors: Doors;
  readonly plan: Plan;
  readonly swap: Swap | null;
  readonly wrong: string[];
  readonly lives: Set<Incarnation>;
}

/**
 * Starts a stage again and again until it comes to its end, or has fallen and `isDone` says that nothing is left to do.
 * Whoever was paused wakes up while another does its work.
 */
async function live(
  { doors, plan, swap, wrong, lives }: Sky,
  stage: Stage,
  args: readonly string[],
  drain: AbortSignal,
  isDone: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
  const setting = {
    ...{ transport: "memory:", to: null, hot: "memory:", lake: "memory:", partitions: PARTITIONS, create: false },
    ...{ retryForMs: 0, values: readFlags({ ...stage.flags, ...COMMON }, args, () => undefined), env: {} },
  };
  const asleep: { readonly life: Incarnation; readonly ended: Promise<unknown> }[] = [];
  let pauses = 0;
  for (let n = 1;; n++) {
    if (n > LIVES_MAX) {
      wrong.push(`${stage.name} does not drain: it fell ${LIVES_MAX} times`);
      break;
    }
    const life = new Incarnation(stage.name, pauses === 0 ? "" : `~${pauses}`, doors, plan, swap);
    lives.add(life);
    const ended = perform(stage, setting, () => {}, life.signal, drain, life.openers)
      .then(() => null, (error: unknown) => error);
    const first = await Promise.race([ended, life.paused.then(() => "paused")]);
    if (first === "paused") {
      pauses++;
      asleep.push({ life, ended });
      continue;
    }
    // A reader that is told to stop comes to its end in order; a process that was struck down does not.
    const isOver = life.signal.aborted;
    life.end();
    // Halfway through another life's work is when a zombie does the most harm.
    asleep.at(plan.turns() % Math.max(1, asleep.length))?.life.wake();
    if ((first === null && !isOver) || await isDone()) break;
    if (isOver || first instanceof Killed || first instanceof Outage) continue;
    // Who slept while another took its place is refused, and may in turn have raised the epoch of who took it.
    if (first instanceof Refusal && pauses > 0) continue;
    wrong.push(`${stage.name} stopped: ${reasonOf(first)}`);
    break;
  }
  for (const { life } of asleep) life.wake();
  for (const { life, ended } of asleep) {
    const error = await ended;
    life.end();
    if (error === null || error instanceof Killed || error instanceof Outage || error instanceof Refusal) continue;
    wrong.push(`${stage.name}, woken up, stopped: ${reasonOf(error)}`);
  }
}

/** How a partition's books differ from those of the calm round. */
function objections(book: Books, wanted: Books): string[] {
  const place = `partition ${book.partition}`;
  const counts = ["raw", "control", "valid", "rejected", "hot", "cold", "behind"] as const;
  return [
    ...book.findings.map(({ finding, place, first, last, detail }) =>
      `${finding} ${place}/${first}-${last}: ${detail}`
    ),
    ...counts.filter((name) => book[name] !== wanted[name]).map((name) =>
      `${place}: ${name} is ${book[name]}, must be ${wanted[name]}`
    ),
    ...(["log", "hot", "cold"] as const).filter((name) => book.checksums[name] !== wanted.checksums[name]).map((name) =>
      `${place}: checksum of ${name} is not that of the calm round`
    ),
  ];
}
