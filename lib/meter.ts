/**
 * Every metric, once: what it is called, what it counts and which labels it may carry. A `Tally` counts inside a stage's
 * Worker; a `Board` sums up what the tallies of all stages hand over, and shows it as Prometheus wants it.
 *
 * **In** counts by declared name, **Out** text for a scrape. A label holds one value of a closed set, whatever else it is
 * given becomes `other`: no symbol, no id and no text from outside ever makes a series.
 * **Knows** nothing.
 */
import process from "node:process";

const STAGES = ["simulate", "ingest", "validate", "sink-hot", "sink-cold", "audit", "redrive"] as const;
const TOPICS = ["ticks.raw", "ticks.valid", "ticks.rejected"] as const;
const TABLES = ["trades", "quotes", "books", "deltas", "status", "rejected"] as const;
const VENUES = [
  "binance",
  "binance-usdm",
  "bybit",
  "bybit-linear",
  "coinbase",
  "coinbase-advanced",
  "lobster",
  "kraken",
  "finnhub",
  "upstox",
  "sim",
] as const;
/** Every rule: a rules file may let any but a few reject, or flag. */
const RULES = [
  "malformed",
  "shape",
  "precision",
  "price",
  "size",
  "grid",
  "crossed",
  "future",
  "duplicate",
  "backwards",
  "locked",
  "spread",
  "one-sided",
  "old",
  "outlier",
  "frozen",
  "halted",
  "session",
  "gap",
  "late",
  "reordered",
  "reset",
] as const;
const DOORS = ["log", "kafka", "sqlite", "postgres", "lake", "venue"] as const;
const KINDS = [
  "trade",
  "otherTrade",
  "bookTicker",
  "depthUpdate",
  "partialDepth",
  "snapshot",
  "bookSnapshot",
  "bookUpdate",
  "aggTrade",
  "kline",
  "ohlc",
  "ticker",
  "markPrice",
  "liquidation",
  "instrument",
  "assetPairs",
  "status",
  "heartbeat",
  "pong",
  "ack",
  "error",
  "serverShutdown",
  "exchangeInfo",
  "publicTrade",
  "orderbook1",
  "orderbook",
  "orderbookRpi",
  "orderbookFull",
  "tickers",
  "allLiquidation",
  "priceLimit",
  "insurance",
  "adlAlert",
  "pong",
  "response",
  "match",
  "lastMatch",
  "l2update",
  "heartbeat",
  "subscriptions",
  "status",
  "rfqMatch",
  "history",
  "productBook",
  "instruments",
  "l2Data",
  "marketTrades",
  "tickerBatch",
  "candles",
  "heartbeats",
  "priceUpdate",
  "ping",
  "news",
  "pr",
  "initialFeed",
  "liveFeed",
  "ltpc",
  "marketInfo",
  "foreign",
  "newOrder",
  "partialCancel",
  "deletion",
  "execution",
  "hiddenExecution",
  "crossTrade",
  "halt",
  "malformed",
  "unsized",
  "untimed",
  "unknown",
] as const;
const FAULTS = [
  "hole",
  "unnumbered",
  "checksum",
  "snapshot",
  "crossed",
  "connection",
  "unreadable",
  "bounds",
  "reported",
] as const;
const OUTCOMES = ["equal", "differing", "passed", "unsynced", "unnumbered"] as const;
// From 1 ms, below which two clocks cannot be told apart, to 10 minutes, above which it is an outage.
const LAG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const BATCH_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What a metric is. Units are base units and stand in the name; what only rises ends in `_total`. */
interface Meter {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Names of the labels, in the order in which values are given, each with the values that it may have. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds of a histogram, rising. */
  readonly buckets?: readonly number[];
}

const counter = <const L extends Meter["labels"]>(help: string, labels: L) =>
  ({ type: "counter", help, labels }) as const;
const gauge = <const L extends Meter["labels"]>(help: string, labels: L) => ({ type: "gauge", help, labels }) as const;
const histogram = <const L extends Meter["labels"]>(help: string, labels: L, buckets: readonly number[]) =>
  ({ type: "histogram", help, labels, buckets }) as const;

/** Every metric, in the order of the flow. */
export const METERS = {
  ticks_produced_total: counter(
    "Messages made for ticks.raw, once those that it did not hold yet are acknowledged",
    {},
  ),
  frames_total: counter("Frames read from a venue, by what they were", { venue: VENUES, kind: KINDS }),
  books_synced_total: counter("Live books that became synced, for the first time or again", { venue: VENUES }),
  books_broken_total: counter("Live books that were found not to be the venue's any more, by what showed it", {
    venue: VENUES,
    fault: FAULTS,
  }),
  books_crossed_total: counter("Times that a live book was crossed for longer than it may be", { venue: VENUES }),
  books_compared_total: counter("Snapshots asked for to be held against a live book, by what came of it", {
    venue: VENUES,
    outcome: OUTCOMES,
  }),
  book_agreement_ratio: gauge(
    "Share of equal levels when a live book and a snapshot were last held against each other",
    {
      venue: VENUES,
    },
  ),
  venue_skew_seconds: gauge("Venue time less received time of a batch's last sound tick that has both", {
    venue: VENUES,
  }),
  ticks_valid_total: counter("Ticks judged sound and acknowledged on ticks.valid", {}),
  ticks_invalid_total: counter("Ticks rejected and acknowledged on ticks.rejected, by first broken rule", {
    reason: RULES,
  }),
  ticks_quarantined_total: counter("Ticks among the rejected that were only set apart to be looked at", {}),
  ticks_flagged_total: counter("Flags put on ticks that were let pass", { flag: RULES }),
  grid_not_judged_total: counter("Ticks whose price step is not known, so that their grid was not judged", {}),
  ticks_untracked_total: counter("Ticks let pass whose instrument or series finds no room in the judge's memory", {}),
  sequence_missing_total: counter("Sequence numbers that were missing when the window closed over them", {}),
  letters_redriven_total: counter("Dead letters sent back into ticks.raw and acknowledged", {}),
  circuit_open: gauge("1 while a stage has stopped, or is to stop, since more was rejected than may be", {
    stage: STAGES,
  }),
  db_inserts_total: counter("Rows committed to the hot store", { table: TABLES }),
  ingestion_lag_seconds: histogram(
    "From the event time of a batch's last tick until the batch is visible in the hot store",
    {},
    LAG_SECONDS,
  ),
  lake_files_total: counter("Parquet files that the ledger names", { table: TABLES }),
  lake_bytes_total: counter("Bytes of the Parquet files that the ledger names", {}),
  log_appended_bytes_total: counter("Bytes written to the embedded log, acknowledged or not", {}),
  stage_received_total: counter("Records that a stage received", { stage: STAGES }),
  stage_sent_total: counter("Records that a stage sent and that were acknowledged", { topic: TOPICS, stage: STAGES }),
  stage_repeats_total: counter("Records that a sink dropped because it had applied them", { stage: STAGES }),
  stage_batch_seconds: histogram("What a stage needs for a batch", { stage: STAGES }, BATCH_SECONDS),
  stage_lag_records: gauge("Records that the topics hold beyond what a stage received", { stage: STAGES }),
  door_retries_total: counter("Times that a stage tried a door again that had not served it", {
    door: DOORS,
    stage: STAGES,
  }),
  door_waiting: gauge("1 while a stage waits for a door that does not serve it", { door: DOORS, stage: STAGES }),
  process_resident_memory_bytes: gauge("Memory of the process", {}),
  process_cpu_seconds_total: counter("Processor time of the process", {}),
  tapedeck_info: gauge("Always 1; the label says on which Deno it runs", { deno: [] }),
} as const satisfies Readonly<Record<string, Meter>>;

export type MeterName = keyof typeof METERS;
type Named<T extends Meter["type"]> = {
  readonly [N in MeterName]: (typeof METERS)[N]["type"] extends T ? N : never;
}[MeterName];

/** What a label says where it was given a value that is not in its set, or none. */
export const OTHER = "other";
/** Observations of one series that a tally keeps between two takes; one more is not seen. */
export const OBSERVATIONS_MAX = 100_000;

/** A series: a metric's name and its label values in declared order. */
interface Series {
  readonly name: MeterName;
  readonly values: readonly string[];
}

/** What was counted since the last take: sums of counters, last values of gauges, observations of histograms. */
export interface Delta {
  readonly sums: readonly (Series & { readonly sum: number })[];
  readonly levels: readonly (Series & { readonly level: number })[];
  readonly observations: readonly (Series & { readonly seconds: readonly number[] })[];
}

/** Counts inside a Worker. Labels are given by position, in declared order. */
export class Tally {
  readonly #sums = new Map<string, Series & { sum: number }>();
  readonly #levels = new Map<string, Series & { level: number }>();
  readonly #observations = new Map<string, Series & { seconds: number[] }>();

  /** Adds to a counter. @throws {RangeError} for what would make it fall */
  add(name: Named<"counter">, n: number, ...labels: readonly (string | undefined)[]): void {
    if (!(n >= 0 && n < Infinity)) {
      throw new RangeError(`Cannot add to counter "${name}": the amount is ${n}, must be finite and not negative`);
    }
    this.#entry(this.#sums, name, labels, (series) => ({ ...series, sum: 0 })).sum += n;
  }

  /** Sets a gauge. */
  set(name: Named<"gauge">, value: number, ...labels: readonly (string | undefined)[]): void {
    this.#entry(this.#levels, name, labels, (series) => ({ ...series, level: 0 })).level = value;
  }

  /** Lets a histogram see a duration in seconds. */
  observe(name: Named<"histogram">, seconds: number, ...labels: readonly (string | undefined)[]): void {
    const entry = this.#entry(this.#observations, name, labels, (series) => ({ ...series, seconds: [] }));
    if (entry.seconds.length < OBSERVATIONS_MAX) entry.seconds.push(seconds);
  }

  /** Everything since the last take, fit to be posted to another thread. */
  take(): Delta {
    const delta = {
      sums: [...this.#sums.values()],
      levels: [...this.#levels.values()],
      observations: [...this.#observations.values()],
    };
    for (const map of [this.#sums, this.#levels, this.#observations]) map.clear();
    return delta;
  }

  #entry<E extends Series>(
    entries: Map<string, E>,
    name: MeterName,
    labels: readonly (string | undefined)[],
    make: (series: Series) => E,
  ): E {
    const values = Object.values(METERS[name].labels).map((allowed: readonly string[], i) => {
      const value = labels[i];
      return value !== undefined && allowed.includes(value) ? value : OTHER;
    });
    const key = `${name} ${values.join(" ")}`;
    const known = entries.get(key);
    if (known !== undefined) return known;
    const entry = make({ name, values });
    entries.set(key, entry);
    return entry;
  }
}

/** Shows the sum of all tallies. Lives in the main thread, one a process. */
export class Board {
  readonly contentType = "text/plain; version=0.0.4; charset=utf-8";
  // Loaded here and not above, since every Worker loads this file for its tally. Deltas wait in line until it is.
  #shelf: Promise<Shelf> = openShelf();

  apply(delta: Delta): void {
    this.#shelf = this.#shelf.then((shelf) => {
      shelf.apply(delta);
      return shelf;
    });
  }

  /** The exposition of everything applied so far. */
  async text(): Promise<string> {
    return await (await this.#shelf).text();
  }
}

interface Shelf {
  apply(delta: Delta): void;
  text(): Promise<string>;
}

async function openShelf(): Promise<Shelf> {
  const { Counter, Gauge, Histogram, Registry } = await import("prom-client");
  const registry = new Registry();
  const registers = [registry];
  const counters = new Map<string, InstanceType<typeof Counter>>();
  const gauges = new Map<string, InstanceType<typeof Gauge>>();
  const histograms = new Map<string, InstanceType<typeof Histogram>>();
  for (const [name, { type, help, labels, ...rest }] of Object.entries<Meter>(METERS)) {
    const common = { name, help, labelNames: Object.keys(labels), registers };
    if (type === "counter") counters.set(name, new Counter(common));
    else if (type === "gauge") gauges.set(name, new Gauge(common));
    else histograms.set(name, new Histogram({ ...common, buckets: [...rest.buckets!] }));
  }
  gauges.get("tapedeck_info")!.set({ deno: Deno.version.deno }, 1);
  const labelsOf = ({ name, values }: Series): Record<string, string> =>
    Object.fromEntries(Object.keys(METERS[name].labels).map((label, i) => [label, values[i]!]));
  return {
    apply({ sums, levels, observations }) {
      for (const series of sums) counters.get(series.name)!.inc(labelsOf(series), series.sum);
      for (const series of levels) gauges.get(series.name)!.set(labelsOf(series), series.level);
      for (const series of observations) {
        const seen = histograms.get(series.name)!.labels(labelsOf(series));
        for (const seconds of series.seconds) seen.observe(seconds);
      }
    },
    async text() {
      const cpu = process.cpuUsage();
      gauges.get("process_resident_memory_bytes")!.set(Deno.memoryUsage().rss);
      counters.get("process_cpu_seconds_total")!.reset();
      counters.get("process_cpu_seconds_total")!.inc((cpu.user + cpu.system) / 1e6);
      return await registry.metrics();
    },
  };
}
