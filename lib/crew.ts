/**
 * Runs stages as a process: each in a Worker with the permissions that its declaration and its URLs need, stopped in
 * flow order, with progress, metrics, a summary and an exit code. One stage alone is a crew of one.
 *
 * Holds the powers that nobody else has: arguments, environment, exit, signals, clock.
 * **Knows** `folder`, `stage`, `permission`, `flag`, `meter`, `patience`, `transport`, `failure`.
 */
import { resolve } from "node:path";
import process from "node:process";
import {
  codeOf,
  EXIT,
  exitOf,
  Misuse,
  Outage,
  printable,
  printableJson,
  printableLines,
  reasonOf,
  Refusal,
} from "./failure.ts";
import { COMMON, type Flags, helpOf, readFlags, type Values } from "./flag.ts";
import { makeFolder } from "./folder.ts";
import { foldersOf, permissionsOf, variablesOf } from "./permission.ts";
import {
  inWorker,
  type Mark,
  type Order,
  type Outcome,
  type Progress,
  type Reach,
  type Setting,
  type Stage,
  type Word,
  work,
} from "./stage.ts";
import { TOPICS } from "./transport.ts";
import { Board } from "./meter.ts";
import { ofDisk } from "./patience.ts";

/** What a stage of a crew came to. */
export interface Report extends Progress {
  readonly stage: string;
  readonly rejected: number;
  readonly outcome: Outcome;
}

type Common = Values<typeof COMMON>;
type Line = (text: string) => void;

/** Latencies that are kept; of a longer run the latest count. */
const LATENCIES_MAX = 200_000;
/** Messages of one partition that were sent and are not visible yet, as far as is remembered: without a sink none ever is. */
const WAITING_MAX = 10_000;
/** Signals that come within this time of one another are one, ms. */
const ONCE_MS = 300;

/** Stages at work, in one process. */
export class Crew {
  /** Latencies from due to visible, ms, as they were measured. */
  readonly latencies: number[] = [];
  readonly #common: Common;
  readonly #say: Line;
  readonly #board: Board | null;
  readonly #hands = new Map<string, { worker: Worker; progress: Progress; done: Promise<Report> }>();
  readonly #waiting = new Map<number, Mark[]>();
  /** What was said of logs that stages of this process work with, each once. */
  readonly #opened = new Set<string>();
  readonly #early = new Map<string, ("drain" | "abort")[]>();
  #server: Deno.HttpServer | null = null;

  constructor(common: Common, say: Line) {
    this.#common = common;
    this.#say = say;
    const port = common["metrics-port"];
    this.#board = port === undefined ? null : new Board();
    if (port !== undefined) this.#server = serve(common["metrics-host"], port, this.#board!, say);
  }

  /** Starts a stage in a Worker of its own. `module` is the URL of the file that declares it. */
  start(
    stage: Stage,
    module: string,
    values: Readonly<Record<string, unknown>>,
    to: string | null = null,
  ): Promise<Report> {
    if (!("reach" in stage)) return this.#start(stage, module, settingOf(stage, this.#common, values, to));
    // What it is told before it is there, it is told first.
    this.#early.set(stage.name, []);
    return stage.reach!(values as Values<Flags>).then((reach) => {
      const done = this.#start(stage, module, settingOf(stage, this.#common, values, to, reach));
      for (const order of this.#early.get(stage.name)!) this.order(order, stage.name);
      return done;
    });
  }

  #start(stage: Stage, module: string, setting: Setting): Promise<Report> {
    if (!("inspect" in stage)) {
      const folders = foldersOf(stage, setting);
      if (stage.looks?.(setting.values as never)) assertThere(this.#common.data, folders);
      folders.forEach(prepare);
    }
    const worker = new Worker(module, {
      type: "module",
      name: stage.name,
      deno: { permissions: permissionsOf(stage, setting) },
    });
    const { promise, resolve, reject } = Promise.withResolvers<Report>();
    const idle: Progress = { received: 0, sent: {}, applied: 0, behind: 0, began: 0, moved: 0 };
    const hand = { worker, progress: idle, done: promise };
    this.#hands.set(stage.name, hand);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(`Cannot load stage "${stage.name}": ${event.message}, must be a module that loads`));
    };
    worker.onmessage = ({ data }: MessageEvent<Word>) => {
      switch (data.word) {
        case "ready":
          return worker.postMessage({ order: "start", setting } satisfies Order);
        case "report":
          return this.#say(`${stage.name}: ${printable(data.line)}`);
        case "opened":
          if (!this.#opened.has(data.line)) this.#say(data.line);
          this.#opened.add(data.line);
          return;
        case "progress":
          hand.progress = data.progress;
          this.#board?.apply(data.delta);
          return this.#match(data.marks);
        case "done":
          return resolve({
            stage: stage.name,
            ...hand.progress,
            rejected: hand.progress.sent[TOPICS.rejected] ?? 0,
            outcome: data.outcome,
          });
        case "failed":
          return reject(failureOf(stage.name, data.kind, data.message, data.stack));
      }
    };
    return promise;
  }

  order(order: "drain" | "abort", stage?: string): void {
    for (const [name, orders] of this.#early) {
      if (!this.#hands.has(name) && (stage === undefined || stage === name)) orders.push(order);
    }
    for (const [name, { worker }] of this.#hands) {
      if (stage === undefined || stage === name) worker.postMessage({ order } satisfies Order);
    }
  }

  /** What each stage has come to so far, in the order they were started. */
  progress(): readonly (Progress & { readonly stage: string })[] {
    return [...this.#hands].map(([stage, { progress }]) => ({ stage, ...progress }));
  }

  /** Pairs what was sent with what became visible, per partition, in order. */
  #match(marks: readonly Mark[]): void {
    for (const mark of marks) {
      const waiting = this.#waiting.get(mark.partition) ?? [];
      if (mark.kind === "sent") {
        waiting.push(mark);
        if (waiting.length > WAITING_MAX) waiting.splice(0, WAITING_MAX / 2);
      } else {
        let seen = 0;
        while (seen < waiting.length && waiting[seen]!.upTo <= mark.upTo) {
          this.latencies.push(mark.at - waiting[seen++]!.at);
        }
        waiting.splice(0, seen);
        if (this.latencies.length > LATENCIES_MAX) this.latencies.splice(0, LATENCIES_MAX / 2);
      }
      this.#waiting.set(mark.partition, waiting);
    }
  }

  async close(): Promise<void> {
    for (const { worker } of this.#hands.values()) worker.terminate();
    await this.#server?.shutdown();
  }
}

/** @throws {Misuse} where some of the folders lie in one that is not there */
function assertThere(data: string, folders: readonly string[]): void {
  const home = resolve(data);
  if (!folders.some((folder) => `${folder}/`.startsWith(`${home}/`))) return;
  try {
    Deno.statSync(home);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Misuse(`Cannot look into --data "${data}": there is no such folder, must be one that was written`);
  }
}

/** Makes a folder of a stage, which may not do so itself. */
function prepare(folder: string): void {
  try {
    makeFolder(folder);
  } catch (error) {
    const { error: told, passes } = ofDisk(`make folder "${folder}"`, error);
    // A wrong path is no disk's fault.
    if (passes || told === error) throw told;
    throw new Misuse(`Cannot make folder "${folder}": ${reasonOf(error)}, must lie where it may be written`);
  }
}

function failureOf(stage: string, kind: string, message: string, stack: string): Error {
  if (kind === "Misuse") return new Misuse(message);
  if (kind === "Outage") return new Outage(`${stage}: ${message}`);
  if (kind === "Refusal") return new Refusal(`${stage}: ${message}`);
  const bug = new Error(`${stage}: ${message}`);
  bug.stack = stack;
  return bug;
}

function serve(hostname: string, port: number, board: Board, say: Line): Deno.HttpServer {
  const shown = (host: string): string => host.includes(":") ? `[${host}]` : host;
  return Deno.serve(
    { hostname, port, onListen: (at) => say(`metrics at http://${shown(at.hostname)}:${at.port}/metrics`) },
    async (request) => {
      if (new URL(request.url).pathname !== "/metrics") return new Response("see /metrics\n", { status: 404 });
      return new Response(await board.text(), { headers: { "content-type": board.contentType } });
    },
  );
}

/** Where the flags say that a stage finds its doors. */
export function settingOf(
  stage: Stage,
  common: Common,
  values: Readonly<Record<string, unknown>>,
  to: string | null,
  reach: Reach = { hosts: [], secrets: [] },
): Setting {
  const log = `log:${common.data}/log`;
  const isApart = stage.isApart?.(values as never) ?? false;
  const setting = {
    transport: isApart ? "memory:" : withPolicy(common.transport ?? log, common.fsync),
    to: to === null || isApart ? null : to === "-" ? "stdio:" : withPolicy(to, common.fsync),
    hot: stage.needs.includes("hot") ? common.hot ?? `sqlite:${common.data}/hot.db` : "",
    lake: stage.needs.includes("lake") ? common.lake ?? `file:${common.data}/lake` : "",
    partitions: common.partitions,
    create: common.create,
    retryForMs: common["retry-for"] * 1000,
    hosts: reach.hosts,
    // A stage's own: among the common ones are every door's URL.
    values: Object.fromEntries(Object.keys(stage.flags).map((name) => [name, values[name]])),
  };
  const env = [...variablesOf(stage, setting), ...reach.secrets].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  return { ...setting, env: Object.fromEntries(env) };
}

/** The log's URL with its policy, unless it has one itself. @throws {Misuse} when the flag asks for another one */
function withPolicy(url: string, policy: string): string {
  if (!url.startsWith("log:")) return url;
  const own = new URLSearchParams(url.split("?", 2)[1]).get("fsync");
  if (own === null) return `${url}${url.includes("?") ? "&" : "?"}fsync=${policy}`;
  if (policy === COMMON.fsync.default || policy === own) return url;
  throw new Misuse(`Cannot use --fsync "${policy}": the log's URL says fsync=${own}, must be given once`);
}

/**
 * The flow line of a stage: what it reads, itself, what it writes. Stores are written by who writes no topic and does more
 * than look.
 */
export function flowOf(stage: Stage): string {
  const isSink = !("inspect" in stage) && stage.looks === undefined && stage.writes.length === 0;
  const left = isSink ? stage.reads : [...stage.reads, ...stage.needs];
  const right = isSink ? stage.needs : stage.writes;
  return [left.join(" + "), stage.name, right.join(" + ")].filter((part) => part !== "").join(" ─▶ ");
}

/** What a command is told about itself and the world when it runs. */
export interface Shift<F extends Flags> {
  readonly values: Values<F & typeof COMMON>;
  readonly crew: Crew;
  readonly say: Line;
  /** Fires at the first Ctrl-C or SIGTERM. */
  readonly stop: AbortSignal;
}

/**
 * What a command ends with: its summary, for people and for `--json`, and whether there are findings. The text is its result
 * and goes to stdout, unless that carries something else.
 */
export interface Ending {
  readonly text: string;
  /** Whether the text is said beside the result, as a last word of progress is. */
  readonly isAside?: boolean;
  readonly summary: Readonly<Record<string, unknown>>;
  readonly findings: number;
}

/** Runs a command as this process: flags, help, signals, summary, exit code. */
export async function command<F extends Flags>(
  what: {
    readonly name: string;
    readonly does: string;
    readonly flow: string;
    readonly flags: F;
    readonly examples: readonly string[];
  },
  run: (shift: Shift<F>) => Promise<Ending>,
  args: readonly string[] = Deno.args,
): Promise<never> {
  const flags = { ...what.flags, ...COMMON } as F & typeof COMMON;
  const help = (): string => helpOf({ ...what, flags });
  const say: Line = (text) => console.error(printableLines(text));
  let crew: Crew | null = null;
  try {
    if (args.includes("--help") || args.includes("-h")) {
      console.log(help());
      Deno.exit(EXIT.done);
    }
    const values = readFlags(flags, args, (name) => Deno.env.get(name));
    const stop = new AbortController();
    let askedAt = -Infinity;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => {
        // A terminal asks everybody in it, and `deno task` passes on what it was asked.
        if (performance.now() - askedAt < ONCE_MS) return;
        if (stop.signal.aborted) Deno.exit(EXIT.failed);
        askedAt = performance.now();
        say("stopping after the batch in hand; once more to leave at once");
        stop.abort();
      });
    }
    crew = new Crew(values as Common, say);
    const ending = await run({ values, crew, say, stop: stop.signal });
    await crew.close();
    const { json } = values as Common;
    const tell: Line = (values as Record<string, unknown>).to === "-" ? say : console.log;
    if (ending.text !== "") (json || ending.isAside ? say : tell)(printableLines(ending.text));
    if (json) tell(printableJson({ ...ending.summary, ...spent() }));
    Deno.exit(exitOf(ending.findings));
  } catch (error) {
    say(
      error instanceof Misuse || error instanceof Refusal || error instanceof Outage
        ? reasonOf(error)
        : (error as Error).stack ?? reasonOf(error),
    );
    if (error instanceof Misuse) say(`${what.name} --help shows the flags`);
    await crew?.close().catch(() => {});
    Deno.exit(codeOf(error));
  }
}

/** What the process has used so far: processor time of all its threads, and resident memory at its peak (Linux tells it). */
function spent(): { readonly cpuSeconds: number; readonly memoryBytes: number } {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, memoryBytes: peakMemory() };
}

/** The process's peak resident memory, bytes; what it is now where the system does not tell the peak. */
export function peakMemory(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // Only Linux has the file.
  }
  return Deno.memoryUsage().rss;
}

/**
 * Runs a stage's file: in a Worker its work, in a process of its own a crew of one. `parts` are stages that the file has
 * besides, each named `<stage> <word>`: the word as the first argument asks for it, with flags of its own.
 */
export async function start(stage: Stage, module: string, parts: readonly Stage[] = []): Promise<void> {
  if (inWorker) return work(parts.find(({ name }) => name === globalThis.name) ?? stage);
  const part = parts.find(({ name }) => name === `${stage.name} ${Deno.args[0]}`);
  if (part !== undefined) return await alone(part, module, Deno.args.slice(1));
  const examples = [
    ...stage.examples,
    ...parts.map(({ name, does }) => `deno task ${name} --help`.padEnd(34) + ` ${does}`),
  ];
  await alone({ ...stage, examples }, module, Deno.args);
}

async function alone(stage: Stage, module: string, args: readonly string[]): Promise<void> {
  await command({ ...stage, flow: flowOf(stage) }, async ({ values, crew, say, stop }) => {
    const to = (values as Record<string, unknown>).to as string | undefined;
    const began = performance.now();
    const done = crew.start(stage, module, values, to ?? null);
    stop.addEventListener("abort", () => crew.order("abort"));
    if ((values as Common).once) crew.order("drain");
    using _ticker = ticker(crew, say);
    const { outcome, ...report } = await done;
    const findings = (outcome.findings ?? outcome.problems ?? []).length;
    const { text, ...rest } = outcome;
    const isResult = typeof text === "string";
    return {
      text: isResult ? text : lineOf(report),
      isAside: !isResult || (stage.prints?.(values as Values<Flags>) ?? false),
      // A command that reads offsets instead of a stream, as the audit does, is timed as a whole.
      summary: { ...report, seconds: (report.moved - report.began || performance.now() - began) / 1000, ...rest },
      findings,
    };
  }, args);
}

/** One line of a stage's progress. */
export function lineOf(progress: Progress & { readonly stage: string }): string {
  const sent = Object.values(progress.sent).reduce((sum, n) => sum + n, 0);
  const seconds = (progress.moved - progress.began) / 1000;
  const rate = seconds > 0 ? Math.round(Math.max(progress.received, sent) / seconds) : 0;
  const amounts = [["received", progress.received], ["sent", sent], ["applied", progress.applied], [
    "behind",
    progress.behind,
  ]] as const;
  const shown = amounts.filter(([, n]) => n > 0).map(([what, n]) => `${what} ${n.toLocaleString("en")}`);
  return `${progress.stage.padEnd(10)} ${shown.join("  ")}  ${rate.toLocaleString("en")}/s`;
}

const TICKER_MS = { terminal: 200, elsewhere: 2000 };

/** Shows progress while it lives: a line per stage on a terminal, JSON lines elsewhere. */
export function ticker(crew: Crew, say: Line): Disposable {
  const terminal = Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  let drawn = 0;
  const clear = (): void => {
    if (drawn > 0) Deno.stderr.writeSync(encoder.encode(`\x1b[${drawn}A\x1b[J`));
    drawn = 0;
  };
  const draw = (): void => {
    const lines = crew.progress();
    if (!terminal) {
      for (const line of lines) if (line.began > 0) say(JSON.stringify(line));
      return;
    }
    clear();
    for (const line of lines) say(lineOf(line));
    drawn = lines.length;
  };
  const timer = setInterval(draw, terminal ? TICKER_MS.terminal : TICKER_MS.elsewhere);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      clear();
    },
  };
}
