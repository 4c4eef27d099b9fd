/**
 * The main job in one process: simulate or ingest, validate, both sinks and audit, each in a Worker of its own, stopped
 * in flow order, with a table, the audit's verdict and an exit code.
 *
 * **Knows** everything.
 */
import audit from "../cmd/audit.ts";
import ingest from "../cmd/ingest.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { columns } from "../lib/columns.ts";
import { command, type Crew, peakMemory, type Report, ticker } from "../lib/crew.ts";
import { Misuse } from "../lib/failure.ts";
import type { Flags } from "../lib/flag.ts";
import { VENUES } from "../lib/venue.ts";

const FLOW = "simulate | ingest ─▶ ticks.raw ─▶ validate ─▶ ticks.valid ─▶ sink-hot + sink-cold, then audit";
// What serves a venue is for a simulator alone.
const { to: _to, as: _as, listen: _listen, mischief: _mischief, from: _from, cert: _cert, key: _key, ...simulated } =
  simulate.flags;
const { to: _also, ...ingested } = ingest.flags;
/** Instruments that the seeded market may have. */
const INSTRUMENTS_MAX = 10_000;
const flags = {
  ...ingested,
  ...simulated,
  venue: { kind: "choice", of: ["sim", ...VENUES], default: "sim", does: "whose market: the seeded one, or live" },
  symbols: { kind: "text", value: "N | A,B", does: "how many instruments of the seeded market (default 50), or which" },
  "unit-rows": sinkCold.flags["unit-rows"]!,
  "reject-share-max": validate.flags["reject-share-max"]!,
  circuit: validate.flags.circuit!,
  fresh: { kind: "switch", does: "begins anew: removes the embedded log, hot store and lake in --data" },
  yes: { kind: "switch", does: "does not ask" },
  "no-audit": { kind: "switch", does: "leaves the audit to a later deno task audit" },
} as const satisfies Flags;

await command({
  name: "pipeline",
  does: "the tape from a market to a verdict",
  flow: FLOW,
  flags,
  examples: [
    "deno task pipeline --ticks 5_000_000 --symbols 200 --faults 0.01 --seed 7",
    "deno task pipeline --venue bybit --symbols BTCUSDT",
    "deno task pipeline --from capture.jsonl.gz --venue binance",
    "deno task pipeline --transport kafka://localhost:9092 --hot postgres://market@localhost/market",
  ],
}, async ({ values, crew, say, stop }) => {
  if (values.fresh) await beginAnew(values.data, values.yes, say);
  const began = Date.now();
  const { from } = values as { readonly from?: string };
  const isSeeded = from === undefined && values.venue === "sim";
  const head = isSeeded ? simulate : ingest;
  const given = isSeeded
    ? { ...values, symbols: instrumentsOf(values.symbols ?? "50") }
    : { ...values, venue: values.venue === "sim" ? VENUES[0]! : values.venue };
  const module = (name: string): string => import.meta.resolve(`../cmd/${name}.ts`);
  stop.addEventListener("abort", () => crew.order("abort", head.name));
  const stages = [
    crew.start(head, module(head.name), given),
    crew.start(validate, module("validate"), { ...defaultsOf(validate), ...values }),
    crew.start(sinkHot, module("sink-hot"), { "accept-gap": false, ...values }),
    crew.start(sinkCold, module("sink-cold"), { "accept-gap": false, ...values }),
  ] as const;
  const reports = await drainInOrder(crew, stages, say);
  const seconds = (Math.max(...reports.map((r) => r.moved)) - Math.min(...reports.map((r) => r.began))) / 1000;
  const verdict = values["no-audit"] ? null : await auditOf(crew, values, module("audit"));
  const latencyMs = quantiles(crew.latencies);
  const memoryBytes = peakMemory();
  const findings = verdict?.outcome.findings?.length ?? 0;
  return {
    text: [
      tableOf(reports),
      "",
      ...(typeof reports[0]!.outcome.text === "string" ? [reports[0]!.outcome.text] : []),
      latencyMs
        ? `latency  p50 ${latencyMs.p50} ms   p99 ${latencyMs.p99} ms   (due to visible in hot)`
        : "latency  nothing new became visible",
      `memory   ${(memoryBytes / 2 ** 20).toFixed(0)} MiB at its peak`,
      `data     ${values.data}`,
      ...placesOf(reports),
      ...(verdict ? ["", String(verdict.outcome.text)] : []),
    ].join("\n"),
    summary: {
      stages: reports.map(({ outcome, ...report }) => ({ ...report, ...outcome })),
      seconds,
      wallSeconds: (Date.now() - began) / 1000,
      latencyMs,
      ...(verdict && { audit: { balanced: findings === 0, findings: verdict.outcome.findings, ...verdict.outcome } }),
    },
    findings: findings + (reports[0]!.outcome.findings?.length ?? 0),
  };
});

/** How many instruments the seeded market has. @throws {Misuse} for what is no such number */
function instrumentsOf(text: string): number {
  const count = Number(text.replaceAll("_", ""));
  if (Number.isInteger(count) && count >= 1 && count <= INSTRUMENTS_MAX) return count;
  throw new Misuse(
    `Cannot simulate --symbols "${text}": is no number of instruments, must be 1 to ${INSTRUMENTS_MAX}, or --venue one of ${
      VENUES.join(", ")
    }`,
  );
}

/** Waits for the head of the flow, then lets each stage behind it come to the end of what the one before left. */
async function drainInOrder(
  crew: Crew,
  [head, judge, hot, cold]: readonly [Promise<Report>, Promise<Report>, Promise<Report>, Promise<Report>],
  say: (line: string) => void,
): Promise<Report[]> {
  using _ticker = ticker(crew, say);
  const failed = Promise.race([head, judge, hot, cold].map((stage) => stage.then(() => new Promise<never>(() => {}))));
  const next = <T>(stage: Promise<T>): Promise<T> => Promise.race([stage, failed]);
  const first = await next(head);
  crew.order("drain", "validate");
  const second = await next(judge);
  crew.order("drain", "sink-hot");
  crew.order("drain", "sink-cold");
  return [first, second, ...await next(Promise.all([hot, cold]))];
}

/** What a stage is set to by itself. */
function defaultsOf({ flags }: { readonly flags: Flags }): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, "default" in flag ? flag.default : undefined]),
  );
}

async function auditOf(crew: Crew, values: Readonly<Record<string, unknown>>, module: string): Promise<Report> {
  return await crew.start(audit, module, { ...defaultsOf(audit), ...values, once: true, symbol: undefined });
}

async function beginAnew(data: string, yes: boolean, say: (line: string) => void): Promise<void> {
  const parts = ["log", "hot.db", "hot.db-wal", "hot.db-shm", "lake"].map((name) => `${data}/${name}`);
  const there = parts.filter((path) => {
    try {
      return Deno.lstatSync(path) !== null;
    } catch {
      return false;
    }
  });
  if (there.length === 0) return;
  if (!yes && !(Deno.stdin.isTerminal() && confirm(`Remove ${there.join(", ")}?`))) {
    throw new Misuse(`Cannot begin anew in "${data}": it holds ${there.join(", ")}, must be confirmed, or given --yes`);
  }
  for (const path of there) await Deno.remove(path, { recursive: true });
  say(`removed ${there.join(", ")}`);
}

function quantiles(values: readonly number[]): { p50: number; p99: number; p999: number } | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q: number): number =>
    Number(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!.toFixed(2));
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
}

function tableOf(reports: readonly Report[]): string {
  const head = ["stage", "received", "sent", "applied", "rejected", "per second"];
  const body = reports.map((report) => {
    const sent = Object.values(report.sent).reduce((sum, n) => sum + n, 0);
    const seconds = (report.moved - report.began) / 1000;
    const rate = seconds > 0 ? Math.max(report.received, sent) / seconds : 0;
    return [
      report.stage,
      ...[report.received, sent, report.applied, report.rejected, Math.round(rate)].map((n) => n.toLocaleString("en")),
    ];
  });
  return columns([head, ...body], (name) => name === "stage").join("\n");
}

function placesOf(reports: readonly Report[]): string[] {
  return reports.map(({ outcome }) => outcome.tryThis).filter((query) => typeof query === "string").map((query) =>
    `try      ${query}`
  );
}
