/** Audits that never were: what reports and histories are tried with. */
import type { Plot, Result, Run } from "../lib/check.ts";
import type { Cover, Coverage } from "../lib/coverage.ts";
import { type Fate, FATES } from "../lib/coverage/account.ts";

const CHECKS = [
  ["sequence", "trades", "4 holes, 1,204 missing", "every sequence once"],
  ["crossed", "quotes", "17 bids above the ask", "0 bids above the ask"],
  ["spread", "quotes", "p95 0.42 bps", "p95 at most 0.5 bps"],
  ["gap", "trades", "longest 41.2 s, at 03:12:09", "at most 60 s without a trade"],
  ["lag", "trades", "p99 812.4 ms", "p99 at most 1,000 ms"],
  ["grid", "trades", "3 prices off the grid of 0.005", "every price on the grid"],
  ["staleness", "quotes", "0.31 %", "at most 1 % of the day unchanged for 10 s"],
  ["rows", "trades", "1,204,331", "900,000 to 1,600,000"],
] as const;
const VENUES = ["binance", "bybit-linear", "kraken", "coinbase"];

/** A run of `n` results on `n / 8` instruments; every 31st fails, and those of one instrument are hostile texts. */
export function auditedRun(n: number, days = 6): Run {
  const results = Array.from({ length: n }, (_, i): Result => {
    const [check, table, observed, wanted] = CHECKS[i % CHECKS.length]!;
    const symbol = symbolOf(i >> 3);
    const status = i % 31 === 5 ? "fail" : "pass";
    return {
      ...{ name: i % 3 === 0 ? check : `${check} of ${table}`, check, table, observed, wanted, status },
      severity: (["error", "warning", "information"] as const)[i % 3]!,
      venue: VENUES[(i >> 3) % VENUES.length]!,
      symbol: i % 16 === 7 ? null : symbol,
      date: "2026-11-20",
      value: i * 1.5,
      failing: status === "fail" ? (i * 7919) % 5_000 + 1 : 0,
      evidence: status === "fail" ? `evidence/${check}-${i}.parquet` : null,
    };
  });
  return {
    id: "20261121T060000Z-3f9c",
    at: "2026-11-21T06:00:00.000Z",
    suite: "market",
    dates: ["2026-11-20"],
    results,
    plots: Array.from({ length: days }, (_, i) => plotsOf(VENUES[i % VENUES.length]!, symbolOf(i))).flat(),
  };
}

/** Symbols and texts as a stranger may send them. */
export const HOSTILE = [
  "</script><script>hurt()</script>",
  '<img src=x onerror="hurt()">',
  `"'><svg onload=hurt()>`,
  "javascript:hurt()",
  "\u2028\u202e<!--",
];

const symbolOf = (i: number): string =>
  i === 2 ? "NSE_INDEX|Nifty 50" : `${["BTC", "ETH", "SOL", "XRP", "ADA"][i % 5]}${i < 5 ? "" : i}USDT`;

function plotsOf(venue: string, symbol: string): Plot[] {
  const wave = (i: number): number => Math.sin(i / 288 * Math.PI) + Math.sin(i * i) / 6;
  const of = (name: Plot["name"], value: (i: number) => number | null): Plot => ({
    ...{ venue, symbol, name, date: "2026-11-20", minutes: 5 },
    values: Array.from({ length: 288 }, (_, i) => value(i)),
  });
  return [
    of("count", (i) => i > 150 && i < 158 ? 0 : Math.round(400 + wave(i) * 1_500)),
    of("spread", (i) => i > 150 && i < 158 ? null : Number((0.8 - wave(i) / 2).toFixed(3))),
    of("gap", (i) => i === 158 ? 2_400 : Number((3 + Math.abs(wave(i * 3)) * 6).toFixed(2))),
  ];
}

/** A coverage of `n` instruments: most are collected, some have a hole of each kind, some a session. */
export function auditedCoverage(n: number): Coverage {
  return {
    date: "2026-11-20",
    until: 1_440,
    instruments: Array.from({ length: n }, (_, i): Cover => {
      const fates: Fate[] = new Array(1_440).fill("collected");
      if (i % 3 === 2) fates.fill("closed").fill("collected", 870, 1_260);
      if (i % 4 === 1) {
        for (let m = 0; m < 1_440; m++) if (fates[m] === "collected" && m % 7 > 0) fates[m] = "quiet";
      }
      if (i % 5 === 1) fates.fill("quiet", 120, 300);
      const holes: Cover["holes"] = [
        ...(i % 4 === 0 ? [{ fate: "lost", from: 610, to: 652, why: "disconnected: closed 1006" } as const] : []),
        ...(i < 2 ? [{ fate: "unaccounted", from: 905, to: 1_005, why: "no row for 100 minutes" } as const] : []),
      ];
      for (const { fate, from, to } of holes) fates.fill(fate, from, to);
      const count = (from: number, to: number): Record<Fate, number> =>
        Object.fromEntries(FATES.map((fate) => [fate, fates.slice(from, to).filter((each) => each === fate).length])) as //
        Record<Fate, number>;
      const minutes = count(0, 1_440);
      return {
        ...{ venue: VENUES[i % VENUES.length]!, symbol: symbolOf(i), calendar: "24/7", holes, minutes },
        hours: Array.from(
          { length: 24 },
          (_, hour) => ({ minutes: count(hour * 60, hour * 60 + 60), rows: hour * 977 }),
        ),
        expected: 1_440 - minutes.closed,
      };
    }),
  };
}
