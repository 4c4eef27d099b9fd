/** `deno task rules`: a file comes into force once and everywhere, a bad one not at all, and what it would change is said. */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import audit from "../cmd/audit.ts";
import rules from "../cmd/rules.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { Misuse } from "../lib/failure.ts";
import type { Outcome } from "../lib/stage.ts";
import { type LogRecord, openTransport, TOPICS } from "../lib/transport.ts";
import { run, withData } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0, isLooking: true } as const;
const DAY = "2026-11-20";

/** The records of a topic, partition by partition. */
async function recordsIn(data: string, topic: string): Promise<LogRecord[][]> {
  const log = await openTransport(`log:${data}/log?fsync=never`, world);
  try {
    const ranges = await log.ranges(topic);
    return await Promise.all(ranges.map(async ({ low, high }, partition) => {
      const all: LogRecord[] = [];
      for await (const records of log.read(topic, partition, low, high)) all.push(...records);
      return all;
    }));
  } finally {
    await log.close();
  }
}
/** What control records say of rules, partition by partition. */
const saidIn = async (data: string): Promise<string[][]> =>
  (await recordsIn(data, TOPICS.raw)).map((records) =>
    records.filter(({ control, value }) => control && String(value).includes('"rules"')).map(({ value }) =>
      String(value)
    )
  );
const textOf = ({ text }: Outcome): string => String(text);

async function fileOf(data: string, content: unknown): Promise<string> {
  const path = `${data}/rules.json`;
  await Deno.writeTextFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

// DuckDB leaves a port open, as in all tests of whole flows.
Deno.test("a rules file enters every partition once, and holds for what comes behind it", () =>
  withData(async (data) => {
    const market = ["--symbols", "8", "--faults", "0.1", "--seed", "3"];
    await run(simulate, data, "--ticks", "5000", ...market);
    const file = await fileOf(data, {
      rules: [{ severity: { shape: "quarantine" } }, {
        venue: "sim",
        symbol: "BTC*",
        severity: { late: "quarantine" },
      }],
    });
    const applied = await run(rules, data, "apply", file);
    assert.equal(applied.isNew, true);
    const said = await saidIn(data);
    assert.deepEqual(said.map(({ length }) => length), said.map(() => 1));
    assert.equal(new Set(said.flat()).size, 1);
    assert.equal((await run(rules, data, "apply", file)).isNew, false);
    assert.deepEqual(await saidIn(data), said, "the same file adds nothing");
    await run(simulate, data, "--ticks", "5000", ...market);
    await run(validate, data);
    await run(sinkHot, data);
    await run(sinkCold, data);

    const at = applied.at as readonly number[];
    const found: Record<string, number> = {};
    const note = (what: string) => found[what] = (found[what] ?? 0) + 1;
    for (const [partition, records] of (await recordsIn(data, TOPICS.rejected)).entries()) {
      for (const { value } of records) {
        const { reason, severity, origin, rules, raw } = JSON.parse(String(value));
        const isBefore = origin < at[partition]!;
        assert.equal(rules.endsWith(`@${at[partition]}`), !isBefore);
        if (reason === "shape" || reason === "late") note(`${reason} ${severity} ${isBefore ? "before" : "after"}`);
        if (reason === "late") assert.match(raw, /"symbol":"BTCUSDT"/);
      }
    }
    for (const { value } of (await recordsIn(data, TOPICS.valid)).flat()) {
      if (/"flags":\[[^\]]*"late"/.test(String(value))) note("late flag");
    }
    assert.deepEqual(Object.keys(found).sort(), [
      ...["late flag", "late quarantine after", "shape quarantine after", "shape reject before"],
    ]);
    const { balanced } = await run(audit, data);
    assert.equal(balanced, true, "the books balance whatever the rules are");
    const db = new DatabaseSync(`${data}/hot.db`, { readOnly: true });
    const rows = db.prepare("select severity, count(*) as n from rejected group by 1 order by 1").all();
    db.close();
    assert.deepEqual(rows.map(({ severity }) => severity), ["quarantine", "reject"]);
  }));

Deno.test(
  "a file that is none is refused with its path and its place, and nothing is written",
  strict,
  () =>
    withData(async (data) => {
      await run(simulate, data, "--ticks", "100", "--symbols", "2");
      const cases: readonly (readonly [unknown, RegExp])[] = [
        ["{", /rules\.json": it is no JSON/],
        [
          { rules: [{ severity: { crossed: "maybe" } }] },
          /rules\.0\.severity\.crossed: must be reject, quarantine, flag or/,
        ],
        [
          { rules: [{ severity: { precision: "flag" } }] },
          /rules\.0\.severity\.precision: must be reject or quarantine: no/,
        ],
        [
          { rules: [{ severity: { duplicate: "off" } }] },
          /must be reject or quarantine: every store would count it twice/,
        ],
        [
          { rules: [{ severity: { gap: "reject" } }] },
          /rules\.0\.severity\.gap: must be flag or off: the tick that bears/,
        ],
        [
          { rules: [{}, { venue: "sim", severity: { shape: "quarantine" } }] },
          /rules\.1\.severity\.shape: must stand in/,
        ],
        [{ rules: [{ severity: { wild: "flag" } }] }, /rules\.0\.severity: Unrecognized key: "wild"/],
        [{ rules: [{ limits: { lateMsMax: -1 } }] }, /rules\.0\.limits\.lateMsMax: /],
        [{ rules: [{ calendar: "moon" }] }, /rules\.0\.calendar: /],
        [{ rules: new Array(1_001).fill({}) }, /rules: Too big/],
        [[], /all of it: /],
      ];
      for (const [content, message] of cases) {
        const file = await fileOf(data, content);
        for (const args of [["apply", file], ["diff", file], ["check", file, "--date", DAY]]) {
          await assert.rejects(
            run(rules, data, ...args),
            (e: unknown) => e instanceof Misuse && message.test(e.message),
          );
        }
      }
      assert.deepEqual((await saidIn(data)).flat(), []);
      for (const args of [["apply"], ["show", "x.json"], ["check", "x.json"], ["apply", "x", "--date", DAY]]) {
        await assert.rejects(run(rules, data, ...args), Misuse, args.join(" "));
      }
      await assert.rejects(run(rules, data, "apply", `${data}/none.json`), /Cannot read rules/);
    }),
);

Deno.test(
  "what is in force, what a file would change, and which verdicts of a day",
  strict,
  () =>
    withData(async (data) => {
      await run(simulate, data, "--ticks", "6000", "--symbols", "4", "--faults", "0.2");
      await run(validate, data, "--once");
      const file = await fileOf(data, {
        rules: [{ severity: { old: "quarantine" } }, { symbol: "BTC*", limits: { outlierBpsMax: 1_000_000 } }],
      });
      assert.match(textOf(await run(rules, data)), /no file was ever applied/);
      const differing = textOf(await run(rules, data, "diff", file));
      assert.match(differing, /quote {2}old: flag → quarantine {2}all of which no entry speaks, sim:BTCUSDT, .* more/);
      assert.match(differing, /trade {2}outlierBpsMax: 1000 → 1000000 {2}sim:BTCUSDT$/m);

      const tried = await run(rules, data, "check", file, "--date", DAY);
      const { judged, changed, changes, passing } = tried as unknown as {
        judged: number;
        changed: number;
        passing: { was: number; would: number };
        changes: { was: string; would: string; count: number; examples: unknown[] }[];
      };
      const sum = (of: typeof changes): number => of.reduce((all, { count }) => all + count, 0);
      const old = changes.filter(({ would }) => would === "quarantine old");
      const outlier = changes.filter(({ was }) => was === "flag outlier");
      assert.ok(old.every(({ was }) => /^flag old(?:, |$)/.test(was)));
      assert.deepEqual(outlier.map(({ would }) => would), ["sound"]);
      assert.ok(sum(old) > 10 && sum(outlier) > 3 && outlier[0]!.examples.length === 3);
      assert.ok(judged > 5_000 && changed === sum(old) + sum(outlier));
      assert.equal(passing.was - passing.would, sum(old));
      const other = await run(rules, data, "check", file, "--date", "2026-11-21");
      assert.deepEqual([other.judged, other.changed], [0, 0]);
      const detail = "ticks.raw has no message of it, and sound ones of 2026-11-20";
      assert.deepEqual(other.findings, [{ finding: "no message", place: "2026-11-21", detail }]);
      await assert.rejects(run(rules, data, "check", file, "--date", "2026-02-30"), Misuse);
      assert.deepEqual((await saidIn(data)).flat(), [], "nothing was written");

      await run(rules, data, "apply", file);
      assert.match(textOf(await run(rules, data)), /validate has not reached 0\//);
      await run(validate, data, "--once");
      const shown = await run(rules, data, "show", "--venue", "sim", "--symbol", "BTCUSDT");
      const { trade } = shown.inForce as Record<string, Record<string, unknown>>;
      assert.deepEqual([trade!.old, trade!.outlierBpsMax, trade!.calendar], ["quarantine", 1_000_000, "24/7"]);
      assert.doesNotMatch(textOf(shown), /has not reached/);
      assert.equal(textOf(await run(rules, data, "diff", file)), "nothing would change");
      const empty = await fileOf(data, { rules: [] });
      assert.match(textOf(await run(rules, data, "diff", empty)), /old: quarantine → flag/);
      assert.equal((await run(rules, data, "apply", empty)).isNew, true);
      assert.equal((await run(rules, data, "apply", empty)).isNew, false);
    }),
);

Deno.test("what a message would become is said as it is: with what else is wrong with it, and as severe as that", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "6000", "--symbols", "4", "--faults", "0.2");
    const file = await fileOf(data, { rules: [{ severity: { grid: "flag", outlier: "quarantine" } }] });
    const { text, changes, passing } = await run(rules, data, "check", file, "--date", DAY);
    const found = new Map((changes as { was: string; would: string }[]).map(({ was, would }) => [was, would]));
    // What is off the grid came beside a clean tick of the same number.
    assert.equal(found.get("reject grid, duplicate"), "reject duplicate");
    assert.equal(found.get("flag outlier"), "quarantine outlier");
    assert.ok([...found.values()].every((would) => !/^(?:reject|flag) outlier$/.test(would)), [...found].join("; "));
    const { was, would } = passing as { was: number; would: number };
    assert.ok(would < was);
    assert.match(String(text), /^ {2}reject grid, duplicate → reject duplicate {2}\d+$/m);
  }));

Deno.test(
  "a venue that is none is refused, and an entry that speaks of no instrument is named",
  strict,
  () =>
    withData(async (data) => {
      await run(simulate, data, "--ticks", "500", "--symbols", "2");
      await run(validate, data, "--once");
      const wrong = await fileOf(data, { rules: [{}, { venue: "simm", severity: { late: "off" } }] });
      for (
        const args of [["apply", wrong], ["diff", wrong], ["check", wrong, "--date", DAY], ["show", "--venue", "simm"]]
      ) {
        await assert.rejects(run(rules, data, ...args), (error: unknown) => {
          assert.match(
            error instanceof Misuse ? error.message : `${error}`,
            /(?:rules\.1\.venue|--venue) "simm": it is unknown, must be one of binance, .*, sim, /,
          );
          return true;
        });
      }
      assert.deepEqual((await saidIn(data)).flat(), []);
      const file = await fileOf(data, {
        rules: [{ venue: "kraken", severity: { late: "off" } }, { venue: "sim", symbol: "*USDT", type: "trade" }, {
          ...{ symbol: "NONE*", severity: { late: "off" } },
        }],
      });
      const unseen = [
        "entry 0, of kraken every symbol every type, is of no instrument that validate has seen",
        "entry 2, of every venue NONE* every type, is of no instrument that validate has seen",
      ];
      assert.deepEqual(textOf(await run(rules, data, "diff", file)).split("\n"), [
        "nothing would change for any instrument so far",
        ...unseen,
      ]);
      assert.deepEqual(textOf(await run(rules, data, "check", file, "--date", DAY)).split("\n").slice(1), unseen);
      assert.deepEqual(textOf(await run(rules, data, "apply", file)).split("\n").slice(1), unseen);
      assert.match(textOf(await run(rules, data, "show", "--venue", "kraken")), /late +off +off/);
    }),
);
