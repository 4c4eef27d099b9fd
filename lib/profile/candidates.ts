/**
 * What a profile tries on an instrument: checks that should hold of any market, and checks with a bound, whose steps go from
 * the strictest to the laxest.
 *
 * **Knows** nothing.
 */

/** Parameters of a check, as a suite has them. */
export type Parameters = Readonly<Record<string, unknown>>;

export interface Candidate {
  readonly check: string;
  readonly table: string;
  /** What tells it from others of its check and table. */
  readonly tells?: string;
  readonly severity: "error" | "warning";
  /** From the strictest to the laxest; one alone where nothing is to be chosen. */
  readonly steps: readonly { readonly parameters: Parameters; readonly text: string }[];
  /** How many steps beyond the strictest that holds are taken, so that a worse day is no finding. */
  readonly room: number;
  /** Whether the strictest of all is kept where it holds: that none is there is worth more than room. */
  readonly isKept: boolean;
}

const MARKET = ["trades", "quotes"] as const;
const STORED = ["trades", "quotes", "books", "deltas", "status"] as const;
const QUOTED = ["quotes", "built"] as const;

const plain = (check: string, tables: readonly string[], parameters: Parameters = {}): Candidate[] =>
  tables.map((table) => (
    { check, table, severity: "error", steps: [{ parameters, text: "" }], room: 0, isKept: true }
  ));

interface Bound<T> {
  readonly parameter: string;
  readonly steps: readonly T[];
  readonly text: (step: T) => string;
  readonly fixed?: Parameters;
  readonly tells?: string;
  readonly severity?: "warning";
  readonly room?: number;
  readonly isKept?: true;
}

const bounded = <T>(check: string, tables: readonly string[], bound: Bound<T>): Candidate[] => {
  const { parameter, steps, text, fixed = {}, tells, severity = "error", room = 2, isKept = false } = bound;
  return tables.map((table) => ({
    ...{ check, table, severity, room, isKept },
    ...(tells !== undefined && { tells }),
    steps: steps.map((step) => ({ parameters: { ...fixed, [parameter]: step }, text: text(step) })),
  }));
};

const SECONDS = [1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1_800, 3_600, 7_200, 14_400];
const BPS = [
  ...[0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000],
  ...[2_000, 5_000, 10_000],
];
const MS = [
  ...[1, 2, 5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000],
  ...[60_000, 300_000, 3_600_000, 86_400_000],
];
const SHARES = [0, 1e-5, 1e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1];
const TIMES = [2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1_000, 10_000, 1_000_000];
const LEAST = [1, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01];
/** Steps of prices and sizes, the coarsest first; each is a multiple of the next, so that what holds of one holds of all finer ones. */
const GRIDS = [
  ...["1000", "500", "100", "50", "10", "5", "1"],
  ...Array.from({ length: 10 }, (_, i) => ["5", "1"].map((digit) => `0.${"0".repeat(i)}${digit}`)).flat(),
];

const seconds = (n: number): string => `${n} s`;
const bps = (n: number): string => `${n} basis points`;
const ms = (n: number): string => `${n} ms`;
const share = (n: number): string => `${Number((n * 100).toPrecision(3))} %`;
const shares = { parameter: "shareMax", steps: SHARES, text: share, isKept: true } as const;

/** Every candidate. */
export const CANDIDATES: readonly Candidate[] = [
  ...plain("null", ["trades"], { columns: ["price", "size", "side"] }),
  ...bounded("set", ["trades"], {
    parameter: "values",
    steps: [["buy", "sell"], ["buy", "sell", "unknown"]],
    text: (words) => words.join(", "),
    fixed: { column: "side" },
    room: 0,
  }),
  ...plain("negative", MARKET),
  ...plain("size", MARKET),
  ...bounded("grid", MARKET, { parameter: "tickSize", steps: GRIDS, text: (step) => step, room: 0 }),
  ...bounded("lot", MARKET, { parameter: "lot", steps: GRIDS, text: (step) => step, room: 0 }),
  ...plain("unique", ["trades", "deltas"]),
  ...plain("duplicate", ["trades", "quotes", "deltas"]),
  ...plain("gap", ["trades", "quotes", "deltas"]),
  ...plain("unrecorded", ["trades", "quotes", "deltas"]),
  ...plain("reset", ["trades", "quotes", "deltas"]),
  ...plain("chain", ["deltas"]),
  ...bounded("order", MARKET, { parameter: "lateMsMax", steps: MS.slice(9), text: ms }),
  ...bounded("future", MARKET, { parameter: "futureMsMax", steps: MS.slice(9), text: ms }),
  ...plain("date", STORED),
  ...plain("session", MARKET),
  ...bounded("lag", MARKET, { parameter: "msMax", steps: MS, text: ms, fixed: { quantile: 0.99 } }),
  ...bounded("clock", MARKET, { parameter: "msMax", steps: MS.slice(12), text: ms, fixed: { msMin: -1_000 } }),
  ...bounded("step", MARKET, { parameter: "stepMsMax", steps: MS.slice(12), text: ms }),
  ...bounded("received", MARKET, shares),
  ...bounded("fetched", ["trades"], shares),
  ...bounded("silence", MARKET, { parameter: "secondsMax", steps: SECONDS, text: seconds }),
  ...bounded("fresh", MARKET, { parameter: "secondsMax", steps: SECONDS, text: seconds }),
  ...bounded("sparse", MARKET, { parameter: "shareMin", steps: LEAST, text: share }),
  ...plain("crossed", QUOTED),
  ...bounded("locked", QUOTED, shares),
  ...bounded("one-sided", QUOTED, shares),
  ...[0.5, 0.99].flatMap((quantile) =>
    bounded("spread", QUOTED, {
      ...{ parameter: "bpsMax", steps: BPS, text: bps, fixed: { quantile }, tells: String(quantile) },
    })
  ),
  ...bounded("wide", QUOTED, { parameter: "bpsMax", steps: BPS, text: bps }),
  ...bounded("frozen", QUOTED, { parameter: "secondsMax", steps: SECONDS, text: seconds }),
  ...bounded("jump", QUOTED, { parameter: "bpsMax", steps: BPS, text: bps }),
  ...bounded("away", ["trades"], { parameter: "nearBps", steps: BPS.filter((n) => n >= 20), text: bps }),
  ...bounded("through", ["trades"], shares),
  ...bounded("stale", ["trades"], { parameter: "secondsMax", steps: SECONDS, text: seconds }),
  ...bounded("side", ["trades"], shares),
  ...bounded("outlier", ["trades"], { parameter: "bpsMax", steps: BPS, text: bps }),
  ...bounded("oversize", ["trades"], {
    parameter: "times",
    steps: TIMES,
    text: (n) => `${n} times the 0.99 quantile`,
    fixed: { quantile: 0.99 },
  }),
  ...plain("depth", ["books"]),
  ...bounded("levels", ["books"], {
    parameter: "max",
    steps: [1, 5, 10, 15, 20, 25, 30, 50, 100, 200, 400, 500, 1_000, 2_000, 5_000, 10_000],
    text: (n) => `${n} levels`,
    room: 0,
  }),
  ...plain("unlike", ["built"]),
  ...plain("file", STORED),
  ...plain("schema", STORED),
];

/** A candidate of counts of other days, which say what is unusual. */
export function unusualOf(table: string, symbol: string, counts: readonly number[]): readonly Candidate[] {
  return bounded("unusual", [table], {
    parameter: "zMax",
    steps: [3.5, 5, 7, 10, 15, 20, 50, 100],
    text: (n) => `a z-score of ${n}`,
    fixed: { counts: { [symbol]: counts } },
    severity: "warning",
  });
}
