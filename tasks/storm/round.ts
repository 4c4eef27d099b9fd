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
import { reasonOf, Refusal } from "../../lib/failure.ts";
import { COMMON, readFlags } from "../../lib/flag.ts";
import { perform, type Stage } from "../../lib/stage.ts";
import { TOPICS, type Transport } from "../../lib/transport.ts";
import type { World } from "../../lib/world.ts";
import type { Policy } from "../../lib/writer.ts";
import { Incarnation, Killed, type Swap } from "./incarnation.ts";
import { type Below, type Plan, Sweep } from "./plan.ts";
import { InMemory, isOutage, OnDisk, type Tape } from "./tape.ts";

const PARTITIONS = 2;
/** Runs of the simulator, one after another: each goes on where the last one ended. */
const SESSIONS = 3;
const MARKET = ["--ticks", "90", "--symbols", "9", "--faults", "0.1"];
/** A stage that falls more often than this does not drain. */
const LIVES_MAX = 500;
/** Copies of a stage that share its work, at most. */
const COPIES_MAX = 3;

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

/** By how many offsets of the log are left out. */
const calms = new Map<number, Promise<Calm>>();

/** Runs a round in memory. `swap` plants a stage that marks its progress before it has written. */
export async function round(plan: Plan, swap: Swap | null = null): Promise<Result> {
  return await compared(plan, await calmRound(plan.holes), new InMemory(plan.holes), swap);
}

/**
 * Runs a round on a disk that loses. What the log acknowledges is durable as its policy says; `deaf` plants a program that
 * leaves out the syncs of some paths.
 */
export async function roundOnDisk(plan: Below, policy: Policy, deaf: RegExp | null = null): Promise<Result> {
  const wanted = await calmRound(plan.holes);
  const tape = new OnDisk(plan, policy, deaf);
  using _installed = await tape.install();
  return await compared(plan, wanted, tape, null);
}

function calmRound(holes: number): Promise<Calm> {
  let calm = calms.get(holes);
  if (calm === undefined) calms.set(holes, calm = weather(new Sweep(0, "pass"), new InMemory(holes), null, null));
  return calm;
}

async function compared(plan: Plan, wanted: Calm, tape: Tape, swap: Swap | null): Promise<Result> {
  const { books, wrong } = await weather(plan, tape, swap, wanted.ends);
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
  tape: Tape,
  swap: Swap | null,
  ends: readonly number[] | null,
): Promise<Calm & { readonly wrong: readonly string[] }> {
  const world: World = { now: () => plan.now(), env: () => undefined, report: () => {}, retryForMs: 0 };
  const wrong: string[] = [];
  const sky = { tape, plan, swap, wrong };
  const judged = new AbortController(), stored = new AbortController(), never = new AbortController();
  const made: number[] = [];
  /** Opens the log for the storm itself, and for so long only: who has it open after a power cut is not cut off by it. */
  const withLog = async <T>(use: (log: Transport) => Promise<T>): Promise<T> => {
    const log = await tape.open.transport(tape.urls.transport, world);
    try {
      return await use(log);
    } finally {
      await log.close();
    }
  };
  const saved = (): Promise<number> => {
    tape.trust();
    return withLog(async (log) => (await log.load("simulate", 0))?.nextOffset ?? 0);
  };
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
  await withLog(async (log) => {
    for (const topic of Object.values(TOPICS)) await log.create(topic, PARTITIONS);
  });
  const drained = Promise.all([
    source(),
    judge(),
    live(sky, sinkHot, [], stored.signal),
    live(sky, sinkCold, ["--unit-rows", "30"], stored.signal),
  ]).catch((error) => wrong.push(`the storm itself cannot read on: ${reasonOf(error)}`));
  if (!await tape.settle(drained)) {
    return { books: [], ends: made, wrong: [...wrong, "everybody waits, and nothing goes on"] };
  }
  await drained;
  const hot = await tape.open.hot(tape.urls.hot, world);
  const lake = await tape.open.lake(tape.urls.lake, world);
  const signal = never.signal;
  try {
    const sources = { hot, lake, signal };
    const books = await withLog((log) => closeBooks({ log, ranges: (topic) => log.ranges(topic), ...sources }));
    return { books, ends: made, wrong };
  } catch (error) {
    return { books: [], ends: made, wrong: [...wrong, `the books cannot be closed: ${reasonOf(error)}`] };
  }
}

interface Sky {
  readonly tape: Tape;
  readonly plan: Plan;
  readonly swap: Swap | null;
  readonly wrong: string[];
}

/** A life at work, and what is waited for of it. */
interface Copy {
  readonly life: Incarnation;
  /** What it threw; null when it came to its end in order. */
  readonly ended: Promise<unknown>;
  readonly events: Promise<{ readonly copy: Copy; readonly event: "ended" | "paused" | "joined" }>[];
}

/**
 * Starts a stage again and again until it comes to its end, or has fallen and `isDone` says that nothing is left to do.
 * Whoever was paused wakes up while another does its work; copies that join share it, and the last to go is who counts.
 */
async function live(
  { tape, plan, swap, wrong }: Sky,
  stage: Stage,
  args: readonly string[],
  drain: AbortSignal,
  isDone: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
  const setting = {
    ...{ ...tape.urls, to: null, partitions: PARTITIONS, create: false },
    ...{ retryForMs: 0, values: readFlags({ ...stage.flags, ...COMMON }, args, () => undefined), env: {} },
  };
  const atWork = new Set<Copy>();
  const asleep: Copy[] = [];
  let lives = 0;
  let pauses = 0;
  /** Whether somebody fell or left since the last one started: the others may have been at their end by then. */
  let isOwed = false;
  const start = (): void => {
    lives++;
    isOwed = false;
    const life = new Incarnation(stage.name, pauses === 0 ? "" : `~${pauses}`, tape, plan, swap);
    const ended = tape.live(life, () => perform(stage, setting, () => {}, life.signal, drain, life.openers))
      .then(() => null, (error: unknown) => error);
    const copy: Copy = { life, ended, events: [] };
    for (const [event, comes] of [["ended", ended], ["paused", life.paused], ["joined", life.joined]] as const) {
      copy.events.push(comes.then(() => ({ copy, event })));
    }
    atWork.add(copy);
  };
  start();
  while (atWork.size > 0) {
    const { copy, event } = await Promise.race([...atWork].flatMap(({ events }) => events));
    const { life, ended, events } = copy;
    if (event === "joined") {
      // Once a life.
      events.pop();
      if (atWork.size < COPIES_MAX) start();
      continue;
    }
    atWork.delete(copy);
    if (event === "paused") {
      pauses++;
      asleep.push(copy);
      start();
      continue;
    }
    const error = await ended;
    // A reader that is told to stop comes to its end in order; a process that was struck down does not.
    isOwed ||= error !== null || life.isOver || life.isLeaving;
    const isFallen = life.isOver || error instanceof Killed || isOutage(error);
    life.end();
    // Halfway through another life's work is when a zombie does the most harm. Then it may take a place and die with it.
    const [zombie] = asleep.splice(plan.turns() % Math.max(1, asleep.length), 1);
    if (zombie !== undefined) {
      zombie.life.wake();
      zombie.events.length = 1;
      atWork.add(zombie);
    }
    // Who slept while another took its place is refused, and may in turn have raised the epoch of who took it.
    if (error !== null && !isFallen && !(error instanceof Refusal && pauses > 0)) {
      wrong.push(`${stage.name} stopped: ${reasonOf(error)}`);
      break;
    }
    if (atWork.size > 0 || !isOwed || await isDone()) continue;
    if (lives === LIVES_MAX) wrong.push(`${stage.name} does not drain: it fell ${LIVES_MAX} times`);
    else start();
  }
  for (const { life } of atWork) life.end();
  for (const { life } of asleep) life.wake();
  for (const { life, ended } of [...atWork, ...asleep]) {
    const error = await ended;
    life.end();
    if (error === null || error instanceof Killed || isOutage(error) || error instanceof Refusal) continue;
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
