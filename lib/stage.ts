/**
 * A stage: one step of the flow, declared with what it reads, writes and needs, and given nothing else. `defineStage`
 * is the declaration; `work` is the stage's own side, in a Worker whose permissions its crew computed (`lib/crew.ts`).
 *
 * The frame counts received, sent and applied, lag and batch times for every stage, so that no stage holds telemetry.
 * This and `crew` alone know the clock and chance.
 * **Knows** the doors, `tape`, `flag`, `meter`, `patience`, `failure`.
 */
import process from "node:process";
import type { Flags, Values } from "./flag.ts";
import { type Delta, Tally } from "./meter.ts";
import type { Hot } from "./hot.ts";
import { openHot } from "./hot.ts";
import type { Lake } from "./lake.ts";
import { openLake } from "./lake.ts";
import type { Batch, Message, Range, ReceiveOptions, Transport } from "./transport.ts";
import { openTransport, TOPICS } from "./transport.ts";
import { listener, pause } from "./patience.ts";
import type { World } from "./world.ts";
import { Misuse, Outage, printable, reasonOf, Refusal } from "./failure.ts";
import { type Tape, Watch } from "./tape.ts";

type Need = "hot" | "lake";

/** What a stage is, before it runs, with the types that its hands follow from. */
export interface Declaration<Reads extends string, Writes extends string, Needs extends Need, F extends Flags> {
  readonly name: string;
  /** Its purpose on one line. */
  readonly does: string;
  readonly reads: readonly Reads[];
  readonly writes: readonly Writes[];
  /** Those among them that it leaves alone under these flags. */
  leaves?(values: Values<F>): readonly Writes[];
  readonly needs: readonly Needs[];
  readonly flags: F;
  readonly examples: readonly string[];
  /** Files that the user names by flag and the stage reads or writes. */
  files?(values: Values<F>): { readonly read?: readonly string[]; readonly write?: readonly string[] };
  /** Whom it talks to besides its doors, and where it listens, as its flags say. */
  reach?(values: Values<F>): Promise<Reach>;
  /** Whether by these flags it does without its topics: then they are in memory, and no door is opened. */
  isApart?(values: Values<F>): boolean;
  /** Whether by these flags it only tells of what others wrote: where nobody did there is nothing to tell. */
  looks?(values: Values<F>): boolean;
  /** Whether by these flags it puts data on stdout by itself: then what it says at its end stands beside it. */
  prints?(values: Values<F>): boolean;
  /** What it asks of the system, besides its doors, under the name of the permission. */
  readonly sys?: readonly ("statfs" | "uid")[];
  run(hands: Hands<Reads, Writes, Needs, F>): Promise<Outcome>;
}

/** Hosts, each `host:port`, and the variables that hold the secrets they ask for. */
export interface Reach {
  readonly hosts: readonly string[];
  readonly secrets: readonly string[];
}

/** A stage that is shown its doors shut and opens each by itself, since one that stays shut must not end it. */
export interface Inspection<F extends Flags> extends Omit<Declaration<string, string, Need, F>, "run"> {
  /** Whether by these flags it changes what it looks at, which it does nowhere else. */
  changes?(values: Values<F>): boolean;
  inspect(view: View<F>): Promise<Outcome>;
}

/** A declared stage, as its crew sees it: any topics, any stores, any flags. */
export type Stage = Declaration<string, string, Need, Flags> | Inspection<Flags>;

/** What a stage says at its end; `findings` are an audit's, `problems` a doctor's. The rest goes into the summary as it is. */
export interface Outcome {
  readonly findings?: readonly unknown[];
  readonly problems?: readonly unknown[];
  readonly [field: string]: unknown;
}

/** Everything that a running stage may touch. */
export interface Hands<Reads extends string, Writes extends string, Needs extends Need, F extends Flags> {
  readonly values: Values<F>;
  readonly hot: "hot" extends Needs ? Hot : undefined;
  readonly lake: "lake" extends Needs ? Lake : undefined;
  /** The stream of the declared topics; its group is the stage's name. */
  receive(options?: Pick<ReceiveOptions<Reads>, "start" | "stop" | "batchMax">): AsyncIterable<Batch>;
  /** Appends to a declared topic; `due` is when the oldest message became due, for latency (default: now). */
  send(
    topic: Writes,
    partition: number,
    messages: readonly Message[],
    due?: number,
  ): Promise<{ readonly first: number; readonly next: number }>;
  /** What each partition of a declared topic holds. */
  ranges(topic: Reads | Writes): Promise<readonly Range[]>;
  /** The log, for declared topics: durable, claim, save, load, read, identity. */
  readonly log: Pick<Transport, "sync" | "claim" | "save" | "load" | "read" | "topic">;
  /** The declared topics as they were at the start; that they stay so is watched. */
  readonly tape: Tape;
  /** Says that origins up to `origin` are in a store; with the newest event's time where that is what latency means. */
  applied(partition: number, origin: number, rows: number, eventTime?: number): void;
  /** Work that goes on while the stage reads on: when it fails, the stage fails at once. */
  meanwhile(work: Promise<unknown>): void;
  readonly tally: Tally;
  readonly world: World;
  /** Whole microseconds since the epoch. */
  micros(): number;
  /** Waits until `now()` reaches `at`, or the stage is asked to stop. */
  until(at: number): Promise<void>;
  /** Fires when the stage must end after the batch in hand. */
  readonly signal: AbortSignal;
  /** Fires when the stage must end at the ends of its topics as they are then. */
  readonly drain: AbortSignal;
}

/** Everything that an inspection may touch. */
export interface View<F extends Flags> extends Pick<Hands<never, never, never, F>, "values" | "world" | "until"> {
  /** Where the doors are: whoever opens one closes it. */
  readonly doors: Pick<Setting, "transport" | "hot" | "lake">;
}

/**
 * Declares a stage; the types of its hands follow from the declaration. The cast forgets them again: the frame gives each
 * stage exactly what its own declaration names, which the type of a list of stages cannot say.
 */
export function defineStage<
  const Reads extends string,
  const Writes extends string,
  const Needs extends Need,
  const F extends Flags,
>(
  declaration: Declaration<Reads, Writes, Needs, F>,
): Stage {
  return declaration as unknown as Stage;
}

/** Declares an inspection; the cast forgets its flags as {@linkcode defineStage} does. */
export function defineInspection<const F extends Flags>(inspection: Inspection<F>): Stage {
  return inspection as unknown as Stage;
}

/** Where a stage finds its doors: URLs and bounds, as the crew resolved them. */
export interface Setting {
  readonly transport: string;
  /** Transport of the output, when it is another. */
  readonly to: string | null;
  /** Of a store that the stage does not need, nothing. */
  readonly hot: string;
  readonly lake: string;
  readonly partitions: number;
  readonly create: boolean;
  readonly retryForMs: number;
  /** Hosts that it talks to besides its doors; none where this is absent. */
  readonly hosts?: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

/** What the crew tells a stage. */
export type Order = { readonly order: "start"; readonly setting: Setting } | { readonly order: "drain" } | {
  readonly order: "abort";
};

/** What a stage tells its crew. Times are ms since the epoch. */
export type Word =
  | { readonly word: "ready" }
  | { readonly word: "report"; readonly line: string }
  /** Where its log is, once it has begun to work with it. */
  | { readonly word: "opened"; readonly line: string }
  | { readonly word: "progress"; readonly progress: Progress; readonly delta: Delta; readonly marks: readonly Mark[] }
  | { readonly word: "done"; readonly outcome: Outcome }
  | {
    readonly word: "failed";
    readonly kind: "Misuse" | "Outage" | "Refusal" | "bug";
    readonly message: string;
    readonly stack: string;
  };
/** Counts since the start of the stage; `sent` by topic. */
export interface Progress {
  readonly received: number;
  readonly sent: Readonly<Record<string, number>>;
  readonly applied: number;
  /** Records that the read topics hold beyond what was received. */
  readonly behind: number;
  /** When work began and was last seen to move, for rates; whole ms. */
  readonly began: number;
  readonly moved: number;
}
/** `sent`: a message up to offset `upTo` was due at `at`; `applied`: origins up to `upTo` were visible at `at`. */
export interface Mark {
  readonly kind: "sent" | "applied";
  readonly partition: number;
  readonly upTo: number;
  readonly at: number;
}

const PROGRESS_MS = 250;
const now = (): number => performance.timeOrigin + performance.now();

/** Whether this module runs inside a crew's Worker. */
export const inWorker = "WorkerGlobalScope" in globalThis;

/** The stage's side of the frame: waits for its order, opens the doors, runs, reports. */
export function work(stage: Stage): void {
  const scope = globalThis as unknown as {
    postMessage(word: Word): void;
    close(): void;
    onmessage: (event: MessageEvent<Order>) => void;
  };
  const abort = new AbortController();
  const drain = new AbortController();
  // Client libraries list the environment when they load, and may not have it: what they find is empty.
  process.env = {};
  scope.onmessage = async ({ data }) => {
    if (data.order === "drain") return drain.abort();
    if (data.order === "abort") return abort.abort();
    try {
      const outcome = await perform(stage, data.setting, (word) => scope.postMessage(word), abort.signal, drain.signal);
      scope.postMessage({ word: "done", outcome });
    } catch (error) {
      const kind = error instanceof Misuse || error instanceof Outage || error instanceof Refusal ? error.name : "bug";
      scope.postMessage({
        word: "failed",
        kind,
        message: reasonOf(error),
        stack: error instanceof Error ? error.stack ?? "" : "",
      });
    }
    scope.close();
  };
  scope.postMessage({ word: "ready" });
}

/** How doors are opened; a storm opens ones that misbehave. */
export interface Openers {
  readonly transport: typeof openTransport;
  readonly hot: typeof openHot;
  readonly lake: typeof openLake;
  /** Between two looks at whether the topics are still what they were, ms; without it at the start and after a fall alone. */
  readonly lookMs?: number;
}
const OPENERS: Openers = { transport: openTransport, hot: openHot, lake: openLake, lookMs: 2_000 };

/** Runs a stage in this thread: what its Worker does, and how tests, benches and storms run it. */
export async function perform(
  stage: Stage,
  setting: Setting,
  say: (word: Word) => void,
  signal: AbortSignal,
  drain: AbortSignal,
  open: Openers = OPENERS,
): Promise<Outcome> {
  const tally = new Tally();
  const report = (line: string): void => say({ word: "report", line: printable(line) });
  const hear = listener(report, (door, tries, isWaitedFor) => {
    tally.add("door_retries_total", tries, door, stage.name);
    tally.set("door_waiting", Number(isWaitedFor), door, stage.name);
  });
  const world: World = {
    now: () => Math.floor(now()),
    env: (name) => setting.env[name],
    report,
    wrote: (bytes) => tally.add("log_appended_bytes_total", bytes),
    retryForMs: setting.retryForMs,
    trying: { random: Math.random, pause, signal, hear },
  };
  const until = (at: number): Promise<void> => at <= now() ? Promise.resolve() : pause(at - now(), signal);
  if ("inspect" in stage) {
    return await stage.inspect({ values: setting.values as Values<Flags>, doors: doorsOf(setting), world, until });
  }
  const left = stage.leaves?.(setting.values as Values<Flags>) ?? [];
  const writes = stage.writes.filter((topic) => !left.includes(topic));
  const count = {
    received: 0,
    sent: Object.fromEntries(writes.map((topic) => [topic, 0])),
    applied: 0,
    began: 0,
    moved: 0,
  };
  const lag = new Map<string, number>();
  let marks: Mark[] = [];
  const progress = (): void => {
    const behind = [...lag.values()].reduce((sum, n) => sum + n, 0);
    tally.set("stage_lag_records", behind, stage.name);
    const times = { began: Math.floor(count.began), moved: Math.floor(count.moved) };
    const progress = { ...count, ...times, sent: { ...count.sent }, behind };
    say({ word: "progress", progress, delta: tally.take(), marks });
    marks = [];
  };
  const move = (): void => {
    count.moved = now();
    count.began ||= count.moved;
  };
  const transport = stage.reads.length > 0 || setting.to === null
    ? await open.transport(setting.transport, world)
    : null;
  const output = setting.to === null ? transport! : await open.transport(setting.to, world);
  const input = transport ?? output;
  let isDescribed = stage.isApart?.(setting.values as Values<Flags>) ?? false;
  /** Who was told what cannot be done has no use for where it would have been. */
  const describe = (): void => {
    if (!isDescribed) say({ word: "opened", line: printable(input.describes) });
    isDescribed = true;
  };
  const opened: { close(): Promise<void> }[] = output === input ? [input] : [output, input];
  const timer = setInterval(progress, PROGRESS_MS);
  const broken = Promise.withResolvers<never>();
  const over = new AbortController();
  let looking: Promise<void> | null = null;
  let looks: ReturnType<typeof setInterval> | undefined;
  try {
    await ensureTopics(stage.reads, writes, input, output, setting);
    const sideOf = (topic: string): Transport => stage.reads.includes(topic) ? input : output;
    const watch = await Watch.begin(
      stage.name,
      [...stage.reads, ...writes],
      (topic, signal) => sideOf(topic).topic(topic, signal),
    );
    const look = (): void => {
      // What only fails to answer is for the stage itself to be patient with.
      looking ??= watch.look(over.signal).catch(ifRefused(broken.reject)).finally(() => looking = null);
    };
    if (open.lookMs !== undefined) looks = setInterval(look, open.lookMs);
    const hot = stage.needs.includes("hot") ? await open.hot(setting.hot, world) : undefined;
    if (hot) opened.unshift(hot);
    const lake = stage.needs.includes("lake") ? await open.lake(setting.lake, world) : undefined;
    if (lake) opened.unshift(lake);
    const hands: Hands<string, string, Need, Flags> = {
      values: setting.values as Values<Flags>,
      hot: hot as Hot,
      lake: lake as Lake,
      async *receive({ start, ...options } = {}) {
        describe();
        const begin = async (topic: string, partition: number, range: Range): Promise<number> => {
          if (partition >= watch.tape[topic]!.partitions) await watch.look();
          return await start!(topic, partition, range);
        };
        const reading = { topics: stage.reads, group: stage.name, signal, drain, ...options };
        for await (const batch of input.receive(start === undefined ? reading : { ...reading, start: begin })) {
          move();
          const from = now();
          count.received += batch.records.length;
          lag.set(`${batch.topic}/${batch.partition}`, batch.high - batch.next);
          yield batch;
          tally.add("stage_received_total", batch.records.length, stage.name);
          tally.observe("stage_batch_seconds", (now() - from) / 1000, stage.name);
          move();
        }
      },
      send(topic, partition, messages, due = now()) {
        describe();
        // Not held while they are on their way.
        const { length } = messages;
        return output.append(topic, partition, messages).then((place) => {
          count.sent[topic]! += length;
          tally.add("stage_sent_total", length, topic, stage.name);
          if (stage.reads.length === 0) marks.push({ kind: "sent", partition, upTo: place.next - 1, at: due });
          move();
          return place;
        });
      },
      ranges: (topic) => sideOf(topic).ranges(topic),
      log: input,
      tape: watch.tape,
      applied(partition, origin, rows, eventTime) {
        const at = now();
        count.applied += rows;
        if (eventTime === undefined) return;
        marks.push({ kind: "applied", partition, upTo: origin, at });
        if (rows > 0) tally.observe("ingestion_lag_seconds", Math.max(0, at / 1000 - eventTime / 1e6));
      },
      meanwhile(work) {
        work.catch(broken.reject);
      },
      tally,
      world,
      micros: () => Math.floor(now() * 1000),
      until,
      signal,
      drain,
    };
    try {
      const outcome = await Promise.race([stage.run(hands), broken.promise]);
      describe();
      return outcome;
    } catch (error) {
      // Whoever falls over a topic that was deleted or changed says that, and not what it met.
      if (!(error instanceof Outage)) {
        await watch.look(signal).catch(ifRefused((changed) => {
          throw changed;
        }));
      }
      throw error;
    }
  } finally {
    clearInterval(timer);
    clearInterval(looks);
    over.abort();
    await looking;
    for (const door of opened) await door.close();
    progress();
  }
}

/** Where the doors are, without the secrets that open them. */
const doorsOf = ({ transport, hot, lake }: Setting): View<Flags>["doors"] => ({ transport, hot, lake });

/** Hands a refusal on, and nothing else. */
const ifRefused = (hand: (refusal: Refusal) => void) => (error: unknown): void => {
  if (error instanceof Refusal) hand(error);
};

/**
 * Creates the declared topics where that is the embedded default or asked for; elsewhere a missing one is a misuse. All
 * topics of the flow get as many partitions as the first one that exists, since `validate` keeps the partition.
 */
async function ensureTopics(
  reads: readonly string[],
  writes: readonly string[],
  input: Transport,
  output: Transport,
  setting: Setting,
): Promise<void> {
  const count = async (transport: Transport, topic: string): Promise<number | Misuse> => {
    try {
      return (await transport.ranges(topic)).length;
    } catch (error) {
      if (error instanceof Misuse) return error;
      throw error;
    }
  };
  const pairs = [
    ...reads.map((topic) => [input, setting.transport, topic] as const),
    ...writes.map((topic) => [output, setting.to ?? setting.transport, topic] as const),
  ];
  for (const [transport, url, topic] of pairs) {
    const found = await count(transport, topic);
    if (typeof found === "number") continue;
    if (!setting.create && !/^(log|memory):/.test(url)) throw found;
    let partitions = setting.partitions;
    for (const known of Object.values(TOPICS)) {
      const there = await count(transport, known);
      if (typeof there === "number") {
        partitions = there;
        break;
      }
    }
    await transport.create(topic, partitions);
  }
}
