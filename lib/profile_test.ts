/** What a profile suggests, on pretended days: each expectation holds or not as their bounds say. */
import assert from "@std/assert";
import type { Result } from "./check.ts";
import { type Profile, profileOf, type Proposal } from "./profile.ts";

const DATES = ["2026-11-18", "2026-11-19", "2026-11-20"];

/** Days on which checks fail as `faults` say: the number of rows that fail; nothing is said of checks that it does not name. */
function days(
  faults: Readonly<Record<string, (expectation: Proposal, date: string) => number>>,
  rows = [1_000, 1_100, 1_200],
) {
  const asked: (readonly Proposal[])[] = [];
  const ask = (expectations: readonly Proposal[]): Promise<readonly Result[]> => {
    asked.push(expectations);
    return Promise.resolve(expectations.flatMap((expectation) =>
      DATES.flatMap((date, i): Result[] => {
        const { name, check, severity, venue, symbol, tables } = expectation;
        const fault = check === "rows" ? undefined : faults[check];
        if (check === "rows" ? tables[0] !== "trades" : fault === undefined) return [];
        const failing = check === "rows"
          ? Number(rows[i]! < Number(expectation.min) || rows[i]! > Number(expectation.max ?? Infinity))
          : fault!(expectation, date);
        const tolerance = (expectation.tolerance as { rows: number } | undefined)?.rows ?? 0;
        return [{
          ...{ name, check, severity, venue, symbol, date, table: tables[0]!, wanted: "", evidence: null },
          ...{ status: failing > tolerance ? "fail" : "pass", value: check === "rows" ? rows[i]! : failing },
          ...{ observed: `${failing} rows`, failing },
        }];
      })
    ));
  };
  return { ask, asked };
}
const one = ({ expectations }: Profile, name: string): Proposal => expectations.find((each) => each.name === name)!;

Deno.test("a profile takes the strictest bound that held on every day, with room, and says why", async () => {
  const { ask, asked } = days({
    crossed: () => 0,
    // Up to 25 s of silence on the 19th alone.
    silence: ({ secondsMax }, date) => Number((secondsMax as number) < (date === "2026-11-19" ? 25 : 4)),
    grid: ({ tickSize }) => Number(Number(tickSize) > 0.05),
    set: ({ values }) => Number((values as string[]).length < 2),
    locked: ({ shareMax }) => Number((shareMax as number) < 0),
    side: ({ shareMax }) => Number((shareMax as number) < 0),
  });
  const profile = await profileOf("sim", "AAAUSD", ask);
  assert.deepEqual(profile.dates, DATES);
  assert.deepEqual(profile.left, []);
  assert.deepEqual(one(profile, "silence of trades"), {
    ...{ name: "silence of trades", check: "silence", severity: "error", venue: "sim", symbol: "AAAUSD" },
    ...{ tables: ["trades"], secondsMax: 60 },
    why: "30 s held on 3 days, 2026-11-18 to 2026-11-20, and 20 s did not: 60 s leaves room for a worse day",
  });
  assert.deepEqual([one(profile, "grid of trades").tickSize, one(profile, "set of trades").values], ["0.05", [
    "buy",
    "sell",
  ]]);
  assert.deepEqual([one(profile, "side of trades").shareMax, one(profile, "side of trades").why], [
    0,
    "there was none on 3 days, 2026-11-18 to 2026-11-20",
  ]);
  const { min, max, why } = one(profile, "rows of trades");
  assert.deepEqual([min, max], [500, 2_400]);
  assert.match(why, /^1000 to 1200 rows a day on 3 days/);
  // Of tables that the instrument has not, nothing is asked or suggested.
  assert.equal(profile.expectations.some(({ tables }) => tables[0] !== "trades"), false);
  assert.ok(asked.length <= 8, "each round halves what is open");
  assert.ok(profile.expectations.every(({ why }) => why !== ""));
});

Deno.test("what fails for a few rows is suggested as a warning that tolerates them, what fails for many is left and told", async () => {
  const profile = await profileOf(
    "sim",
    "AAAUSD",
    days({
      unique: (_, date) => date === "2026-11-20" ? 3 : 0,
      order: () => 400,
      outlier: () => 7,
    }).ask,
  );
  const { severity, tolerance, why } = one(profile, "unique of trades");
  assert.deepEqual([severity, tolerance], ["warning", { rows: 5 }]);
  assert.match(why, /^fails on 1 of 3 days.*, most for 3 rows on 2026-11-20: 5 are tolerated$/);
  assert.deepEqual(profile.left, ["order of trades: 400 rows", "outlier of trades: 7 rows"]);
});

Deno.test("what would fail as it is suggested is not suggested, and of no days nothing is", async () => {
  // It holds at the strictest bound alone, which no check does.
  const { ask } = days({ outlier: ({ bpsMax }) => Number((bpsMax as number) > 0.1) });
  const profile = await profileOf("sim", "AAAUSD", ask);
  assert.deepEqual(profile.left, ["outlier of trades: it fails as it would be suggested"]);
  assert.equal(one(profile, "outlier of trades"), undefined);
  const none = await profileOf("sim", "AAAUSD", () => Promise.resolve([]));
  assert.deepEqual(none, { expectations: [], left: [], dates: [] });
});

Deno.test("counts of other days say what is unusual, where there are three", async () => {
  const profile = await profileOf("sim", "AAAUSD", days({ unusual: () => 0 }).ask);
  assert.deepEqual(one(profile, "unusual of trades").counts, { AAAUSD: [1_000, 1_100, 1_200] });
  assert.equal(one(profile, "unusual of trades").zMax, 7);
});
