/**
 * What each stage and the whole can do on this machine: ticks/s, processor seconds per million ticks, peak memory, bytes
 * per tick in log, hot and cold, and latency under an open-loop rate. Machines are noisy: several runs, medians, ranges.
 *
 * In this process's memory, which shows the stages without a log and a store, and on embedded files always; on Kafka and
 * Postgres when `KAFKA_URL` and `POSTGRES_URL` are set.
 * **Knows** everything.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import simulate from "../cmd/simulate.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { columns } from "../lib/columns.ts";
import { command, type Ending } from "../lib/crew.ts";
import { type Flags, readFlags } from "../lib/flag.ts";
import { PRETENDED } from "../lib/pretend.ts";
import { perform, type Progress, type Stage } from "../lib/stage.ts";
import { benchAudit } from "./bench_audit.ts";
import { benchFeed } from "./bench_feed.ts";
import { benchReport } from "./bench_report.ts";
import { benchVenues } from "./bench_venues.ts";
import { shownRange, shownWhole, type Spread, spread } from "./spread.ts";
import { unguarded } from "./storm/mutants.ts";

const flags = {
  ticks: { kind: "count", default: 1_000_000, does: "ticks of a run" },
  symbols: { kind: "count", does: "instruments (default 50, with --feed 500)" },
  faults: { kind: "amount", default: 0.01, max: 1, does: "share of faults" },
  runs: { kind: "count", default: 3, does: "runs of each, of which the median counts" },
  rate: {
    kind: "amount",
    does: "offered in a second: ticks of the latency runs (default 5000), frames of --feed (20000)",
  },
  seconds: { kind: "amount", unit: "s", does: "length of a latency run (default 10), of --feed (20)" },
  guards: { kind: "switch", does: "what the guards cost instead: the whole with and without them, in pairs" },
  venues: { kind: "switch", does: "how fast venues' frames become ticks and books instead, on recordings" },
  audit: { kind: "switch", does: "how long the shipped suite takes over a day of --ticks in a lake instead" },
  feed: {
    kind: "switch",
    does: "how long a live frame takes from the socket to the log instead, at a pretended venue",
  },
  report: { kind: "switch", does: "how long a report of 10,000 results takes to open in a real browser instead" },
  as: { kind: "choice", of: PRETENDED, default: "bybit-linear", does: "with --feed: as which venue" },
} as const satisfies Flags;

/** One measured run of a command. */
interface Run {
  readonly rate: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number } | null;
}

/** The median and range of the runs of one thing on one kind of store. */
interface Line {
  readonly what: string;
  readonly on: string;
  readonly rate: Spread;
  readonly cpuPerMillion: Spread;
  readonly memoryMiB: Spread;
  readonly latencyMs?: { readonly p50: Spread; readonly p99: Spread; readonly p999: Spread };
}

/** Ticks of a run in memory, which keeps what is written to it until the process ends. */
const MEMORY_TICKS_MAX = 300_000;
/** As deno.json's tasks have it: what a batch makes is dead before it is moved, which saves a fifth of the work. */
const YOUNG = "--v8-flags=--min-semi-space-size=32,--max-semi-space-size=32";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));

/** Runs a command of the project, or of a copy of it, and reads its summary. */
async function measure(file: string, args: readonly string[], ticks: number, project = PROJECT): Promise<Run> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", YOUNG, `${project}/${file}`, "--json", ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  if (code !== 0) {
    throw new Error(
      `${file} ${args.join(" ")} ended with ${code}: ${text.decode(stderr).trimEnd().split("\n").slice(-3).join("; ")}`,
    );
  }
  const summary = JSON.parse(text.decode(stdout).trimEnd().split("\n").at(-1)!);
  // A flow that lost some of them would look fast.
  const arrived = summary.stages?.find(({ stage }: { stage: string }) => stage === "sink-hot").received;
  if (arrived < ticks) throw new Error(`${file} ${args.join(" ")} brought ${arrived} of ${ticks} ticks to sink-hot`);
  return {
    rate: ticks / summary.seconds,
    cpuSeconds: summary.cpuSeconds,
    memoryBytes: summary.memoryBytes,
    latencyMs: summary.latencyMs ?? null,
  };
}

/** Runs a stage in this thread, on the log and the hot store of that name in memory. */
async function measureInMemory(stage: Stage, args: readonly string[], name: string, ticks: number): Promise<Run> {
  const setting = {
    ...{ transport: `memory:${name}`, to: null, hot: `memory:${name}`, lake: "", partitions: 4, create: true },
    ...{ retryForMs: 0, values: readFlags(stage.flags, args, () => undefined), env: {} },
  };
  let progress: Progress | undefined;
  const before = process.cpuUsage();
  await perform(
    stage,
    setting,
    (word) => progress = word.word === "progress" ? word.progress : progress,
    new AbortController().signal,
    AbortSignal.abort(),
  );
  const { user, system } = process.cpuUsage(before);
  return {
    rate: ticks * 1000 / (progress!.moved - progress!.began),
    cpuSeconds: (user + system) / 1e6,
    memoryBytes: Deno.memoryUsage().rss,
    latencyMs: null,
  };
}

function lineOf(what: string, on: string, runs: readonly Run[], ticks: number): Line {
  const latencies = runs.map((run) => run.latencyMs).filter((latency) => latency !== null);
  return {
    what,
    on,
    rate: spread(runs.map((run) => Math.round(run.rate))),
    cpuPerMillion: spread(runs.map((run) => run.cpuSeconds * 1e6 / ticks)),
    memoryMiB: spread(runs.map((run) => Math.round(run.memoryBytes / 2 ** 20))),
    ...(latencies.length > 0 && {
      latencyMs: {
        p50: spread(latencies.map((l) => l.p50)),
        p99: spread(latencies.map((l) => l.p99)),
        p999: spread(latencies.map((l) => l.p999)),
      },
    }),
  };
}

/** The runs of each thing that is measured on one kind of store. */
class Notes {
  readonly #runs = new Map<string, Run[]>();

  add(what: string, run: Run): void {
    this.#runs.set(what, [...this.#runs.get(what) ?? [], run]);
  }
  lines(on: string, ticksOf: (what: string) => number): Line[] {
    return [...this.#runs].map(([what, runs]) => lineOf(what, on, runs, ticksOf(what)));
  }
}

/** Bytes of all files under a path; 0 when there is none. */
function bytesOf(path: string): number {
  try {
    const { isDirectory, size } = Deno.statSync(path);
    if (!isDirectory) return size;
    return [...Deno.readDirSync(path)].reduce((sum, entry) => sum + bytesOf(`${path}/${entry.name}`), 0);
  } catch {
    return 0;
  }
}

/** Flags that put a run on stores of its own, and how it is cleaned up. */
interface Ground {
  readonly name: string;
  lay(run: number): Promise<readonly string[]>;
}

function grounds(folder: string): Ground[] {
  const embedded: Ground = { name: "embedded", lay: (run) => Promise.resolve(["--data", `${folder}/${run}`]) };
  const kafka = Deno.env.get("KAFKA_URL");
  const postgres = Deno.env.get("POSTGRES_URL");
  if (!kafka || !postgres) {
    console.error("KAFKA_URL and POSTGRES_URL are not both set: Kafka + Postgres are not measured");
    return [embedded];
  }
  const real: Ground = {
    name: "kafka+postgres",
    lay: (run) => {
      const name = `bench_${Deno.pid}_${run}`;
      const join = (url: string): string => url + (url.includes("?") ? "&" : "?");
      return Promise.resolve([
        "--data",
        `${folder}/${run}`,
        "--create",
        "--transport",
        `${join(kafka)}prefix=${name}.`,
        "--hot",
        `${join(postgres)}schema=${name}`,
      ]);
    },
  };
  return [embedded, real];
}

await command({
  name: "bench",
  does: "each stage and the whole: rates, processor time, memory, bytes, latency",
  flow: "simulate ─▶ validate ─▶ sink-hot + sink-cold, alone and together",
  flags,
  examples: [
    "deno task bench",
    "deno task bench --venues",
    "deno task bench --feed --seconds 600",
    "deno task bench --report",
  ],
}, async ({ values, say, stop }) => {
  const { ticks, runs, symbols = 50, rate = 5_000, seconds = 10 } = values;
  if (values.venues) return await benchVenues(runs, say);
  if (values.report) return await benchReport(runs);
  if (values.audit) return await benchAudit({ ticks: values.ticks, symbols, runs }, say);
  if (values.feed) {
    const { as, symbols: instruments = 500, rate = 20_000, seconds = 20 } = values;
    return await benchFeed({ as, instruments, rate, seconds }, say, stop);
  }
  const market = ["--ticks", String(ticks), "--symbols", String(symbols), "--faults", String(values.faults)];
  const folder = await Deno.makeTempDir({ prefix: "tapedeck-bench-" });
  if (values.guards) return await price(folder, market, ticks, runs, say);
  const lines: Line[] = [];
  const bytes: Record<string, number> = {};
  let ground = 0;
  const whole = ["--no-audit"];
  try {
    const few = Math.min(ticks, MEMORY_TICKS_MAX);
    const inMemory = new Notes();
    for (let i = 0; i < runs; i++) {
      say(`memory, run ${i + 1} of ${runs}`);
      const made = [...market, "--ticks", String(few)];
      for (const [stage, args] of [[simulate, made], [validate, []], [sinkHot, []]] as const) {
        inMemory.add(stage.name, await measureInMemory(stage, args, `bench-${i}`, few));
      }
    }
    lines.push(...inMemory.lines("memory", () => few));
    for (const { name, lay } of grounds(folder)) {
      const notes = new Notes();
      for (let i = 0; i < runs; i++) {
        const alone = await lay(++ground);
        say(`${name}, run ${i + 1} of ${runs}`);
        notes.add("simulate", await measure("cmd/simulate.ts", [...market, ...alone], ticks));
        for (const stage of ["validate", "sink-hot", "sink-cold", "audit"]) {
          notes.add(stage, await measure(`cmd/${stage}.ts`, ["--once", ...alone], ticks));
        }
        const data = alone[alone.indexOf("--data") + 1]!;
        if (name === "embedded") {
          bytes["log ticks.raw"] = bytesOf(`${data}/log/ticks.raw`) / ticks;
          bytes["log ticks.valid"] = bytesOf(`${data}/log/ticks.valid`) / ticks;
          bytes["hot"] = bytesOf(`${data}/hot.db`) / ticks;
        }
        bytes["cold"] = bytesOf(`${data}/lake`) / ticks;
        notes.add("pipeline", await measure("tasks/pipeline.ts", [...whole, ...market, ...await lay(++ground)], ticks));
        const preloaded = await lay(++ground);
        await measure("cmd/simulate.ts", [...market, ...preloaded], ticks);
        notes.add("preloaded", await measure("tasks/pipeline.ts", [...whole, "--ticks", "1", ...preloaded], ticks));
        const offered = [
          "--rate",
          String(rate),
          "--ticks",
          String(Math.round(rate * seconds)),
          "--symbols",
          String(symbols),
        ];
        const offer = [...whole, ...offered, ...await lay(++ground)];
        notes.add("latency", await measure("tasks/pipeline.ts", offer, rate * seconds));
      }
      lines.push(...notes.lines(name, (what) => what === "latency" ? rate * seconds : ticks));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return { text: textOf(lines, bytes, runs), summary: { ticks, runs, lines, bytesPerTick: bytes }, findings: 0 };
});

/** What the guards cost: on each ground, the rate with them over the rate without them, pair by pair. */
async function price(
  folder: string,
  market: readonly string[],
  ticks: number,
  runs: number,
  say: (line: string) => void,
): Promise<Ending> {
  try {
    const copy = `${folder}/unguarded`;
    const gone = await unguarded(copy, PROJECT);
    const ratios: Record<string, readonly number[]> = {};
    let ground = 0;
    for (const { name, lay } of grounds(folder)) {
      for (let i = 0; i < runs; i++) {
        const rates: number[] = [];
        // The one that comes first changes, since machines warm up and tire.
        for (const project of i % 2 === 0 ? [PROJECT, copy] : [copy, PROJECT]) {
          const args = ["--no-audit", ...market, ...await lay(++ground)];
          rates.push((await measure("tasks/pipeline.ts", args, ticks, project)).rate);
          // What a run without guards has not synced would be written to the disk while the next one is measured.
          await Deno.remove(`${folder}/${ground}`, { recursive: true });
        }
        const [first, second] = rates as [number, number];
        const ratio = i % 2 === 0 ? first / second : second / first;
        say(`${name}, pair ${i + 1} of ${runs}: ${ratio.toFixed(3)}`);
        ratios[name] = [...ratios[name] ?? [], ratio];
      }
    }
    const lines = Object.entries(ratios).map(([name, list]) => {
      const { median, low, high } = spread(list);
      return `${name}: ${median.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)}) of the rate without ${gone} guards`;
    });
    return { text: lines.join("\n"), summary: { ticks, runs, guards: gone, ratios }, findings: 0 };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function textOf(lines: readonly Line[], bytes: Readonly<Record<string, number>>, runs: number): string {
  const head = ["what", "on", "ticks/s", "CPU s per million", "peak MiB", "latency ms p50 / p99 / p99.9"];
  const body = lines.map((line) => [
    line.what,
    line.on,
    shownRange(line.rate, shownWhole),
    shownRange(line.cpuPerMillion, (n) => n.toFixed(1)),
    shownRange(line.memoryMiB, shownWhole),
    line.what === "latency" && line.latencyMs
      ? [line.latencyMs.p50, line.latencyMs.p99, line.latencyMs.p999].map((s) => s.median.toFixed(1)).join(" / ")
      : "",
  ]);
  return [
    ...columns([head, ...body], (name) => head.indexOf(name) < 2),
    "",
    `bytes per tick: ${Object.entries(bytes).map(([what, n]) => `${what} ${n.toFixed(1)}`).join(", ")}`,
    `medians and ranges of ${runs} runs`,
  ].join("\n");
}
