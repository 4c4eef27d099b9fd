/** What is a drift and what is not, and against which runs. */
import assert from "@std/assert";
import type { Plot } from "./check.ts";
import type { Entry, Remembered } from "./chronicle.ts";
import { baselineOf, driftsOf, psi, robustZ } from "./drift.ts";

const dateOf = (day: number): string => `2026-11-${String(day).padStart(2, "0")}`;
const entry = (day: number, id = `run-${day}`, suite = "market"): Entry => ({
  ...{ id, suite, at: `${dateOf(day + 1)}T06:00:00.000Z`, dates: [dateOf(day)], passed: 1 },
  ...{ failed: { error: 0, warning: 0, information: 0 }, results: true, plots: true },
});
const result = (day: number, value: number | null, more: Partial<Remembered> = {}): Remembered => ({
  ...{ run: `run-${day}`, name: "spread", check: "spread", severity: "error", status: "pass", venue: "binance" },
  ...{ symbol: "BTCUSDT", table: "quotes", date: dateOf(day), value, observed: "", wanted: "", failing: 0 },
  ...{ evidence: null, ...more },
});
const DAY_MS = 86_400_000;

Deno.test("a baseline is of the same suite, of other dates, not too old, and without runs that failed", () => {
  const entries = [entry(1), entry(10), entry(11), entry(12), entry(13), entry(14, "other", "another"), entry(15)];
  const results = [
    ...[1, 10, 12, 15].map((day) => result(day, 1)),
    result(11, 1, { status: "fail" }),
    // A warning is no error, and what nobody asked about the instrument is no baseline.
    result(12, 1, { name: "lag", status: "fail", severity: "warning" }),
    result(14, 1, { run: "other" }),
  ];
  const { runs, failed } = baselineOf(entries, results, entry(15), 7 * DAY_MS);
  assert.deepEqual(runs.map(({ id }) => id), ["run-10", "run-12"]);
  assert.deepEqual(failed.map(({ id }) => id), ["run-11"]);
});

Deno.test("of a date that was audited twice the later run counts, and the looked at date is not its own baseline", () => {
  const again = { ...entry(10, "again"), at: `${dateOf(12)}T09:00:00.000Z` };
  const entries = [entry(10), again, { ...entry(15, "earlier"), at: `${dateOf(15)}T23:00:00.000Z` }, entry(15)];
  const results = entries.map(({ id, dates }) => result(0, 1, { run: id, date: dates[0]! }));
  assert.deepEqual(baselineOf(entries, results, entry(15), 30 * DAY_MS).runs.map(({ id }) => id), ["again"]);
});

Deno.test("a value far from the usual has drifted, one within has not, and of few days nothing is said", () => {
  const days = [1, 2, 3, 4, 5, 6];
  const usual = [10, 11, 10.5, 9.5, 10, 10.2];
  const baseline = { runs: days.map((day) => entry(day)), failed: [] };
  const told = (value: number, from = 0): string => {
    const runs = baseline.runs.slice(from);
    const results = [...days.map((day, i) => result(day, usual[i]!)), result(9, value)];
    return driftsOf(entry(9), { ...baseline, runs }, results, [])[0]!.verdict;
  };
  assert.equal(told(10.4), "stable");
  assert.equal(told(16), "drifted");
  assert.equal(told(5), "drifted");
  assert.equal(told(16, 2), "unknown");
});

Deno.test("a wild day of the baseline does not hide a drift, and what never varied and does now has drifted", () => {
  assert.ok(robustZ(20, [10, 11, 10, 9, 10, 1e9])! > 3.5);
  assert.equal(robustZ(0, [0, 0, 0, 0, 0]), 0);
  assert.equal(robustZ(1, [0, 0, 0, 0, 0]), null);
  // Where most are alike, the mean deviation says what is usual.
  assert.ok(Math.abs(robustZ(3, [0, 0, 0, 2, 3])!) < 3.5);
  const runs = [1, 2, 3, 4, 5].map((day) => entry(day));
  const results = [...[1, 2, 3, 4, 5].map((day) => result(day, 0)), result(9, 4)];
  const [drift] = driftsOf(entry(9), { runs, failed: [] }, results, []);
  assert.deepEqual([drift!.verdict, drift!.distance], ["drifted", null]);
});

Deno.test("an index of stability is nothing for the same spread of values, and large where they moved", () => {
  const values = Array.from({ length: 500 }, (_, i) => Math.sin(i * i));
  assert.ok(psi(values, values.toReversed()) < 1e-9);
  assert.ok(psi(values.map((value) => value + 1), values) > 1);
});

Deno.test("a day's shape has drifted where it is farther from the others than they are from each other", () => {
  const plot = (day: number, shift: number): Plot & { run: string } => ({
    ...{ run: `run-${day}`, venue: "binance", symbol: "BTCUSDT", name: "spread", date: dateOf(day), minutes: 15 },
    values: Array.from(
      { length: 96 },
      (_, i) => i === 40 ? null : 1 + Math.sin(i / 15) / 5 + Math.sin(i * day) / 20 + shift,
    ),
  });
  const days = [1, 2, 3, 4, 5, 6];
  const runs = days.map((day) => entry(day));
  const drift = (now: Plot & { run: string }, shifts: readonly number[]) =>
    driftsOf(entry(9), { runs, failed: [] }, [], [...days.map((day, i) => plot(day, shifts[i] ?? 0)), now])[0]!;
  assert.equal(drift(plot(9, 0), []).verdict, "stable");
  assert.equal(drift(plot(9, 0.4), []).verdict, "drifted");
  // Days that differ as much among themselves are no evidence.
  assert.equal(drift(plot(9, 0.4), [0, 0.8, -0.5, 0.4, -0.3, 0.6]).verdict, "stable");
  assert.equal(drift({ ...plot(9, 0), values: [null, null] }, []).verdict, "unknown");
});
