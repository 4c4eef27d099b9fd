/**
 * The whole flow in this thread, stage after stage, on embedded files: what each stage promises the next.
 */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { Misuse, Outage, Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { type Lake, openLake } from "../lib/lake.ts";
import { readLedger } from "../lib/lake/file/ledger.ts";
import { type Message, MESSAGE_BYTES_MAX, openTransport, TOPICS } from "../lib/transport.ts";
import type { World } from "../lib/world.ts";
import { type Outcome, perform, type Stage } from "../lib/stage.ts";
import { flow, listeners, looking, places, run, settingOf, withData } from "../testdata/flow.ts";

const openLedger = (data: string) => readLedger(`${data}/lake/_ledger/ticks.valid-0.ledger`);
/** Appends to the only raw partition of an embedded flow. */
async function append(data: string, ...messages: readonly Message[]): Promise<void> {
  const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
  const log = await openTransport(`log:${data}/log?fsync=never`, world);
  try {
    for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
    await log.append(TOPICS.raw, 0, messages);
  } finally {
    await log.close();
  }
}
interface Check {
  readonly check: string;
  readonly venue: string;
  readonly status: string;
  readonly observed: string;
}
const findingsOf = (outcome: Outcome) =>
  (outcome.findings ?? []) as { finding: string; place: string; first: number; last: number; detail: string }[];

Deno.test("every planted fault is caught, no clean tick is rejected, and the books balance", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "6000", "--symbols", "8", "--faults", "0.2", "--truth", `${data}/truth`);
    await flow(data);
    const outcome = await run(audit, data, "--truth", `${data}/truth`);
    assert.deepEqual(findingsOf(outcome), []);
    const truth = outcome.truth as {
      planted: number;
      caught: Record<string, number>;
      open: number;
      missed: unknown[];
      wronglyRejected: unknown[];
    };
    assert.ok(truth.planted > 800, `${truth.planted} planted`);
    assert.deepEqual([truth.missed, truth.wronglyRejected], [[], []]);
    for (
      const reason of [
        "malformed",
        "shape",
        "precision",
        "price",
        "grid",
        "crossed",
        "future",
        "duplicate",
        "backwards",
        "late",
        "gap",
      ]
    ) {
      assert.ok((truth.caught[reason] ?? 0) > 0, `nothing was caught as ${reason}`);
    }
  });
});

Deno.test("a day is checked by the limits in force", async () => {
  await withData(async (data) => {
    const NOON = Date.UTC(2024, 7, 8, 12) * 1_000;
    const trade = (eventTime: number): Message => ({
      key: "sim:A",
      value: JSON.stringify({
        ...{ type: "trade", venue: "sim", symbol: "A", eventTime, receivedTime: NOON, sequence: null, id: null },
        ...{ price: "1", size: "1", side: "buy" },
      }),
    });
    await append(data, { key: null, value: '{"control":"limits","lateMsMax":9000}', control: true }, trade(NOON));
    await append(data, trade(NOON - 9_000_000));
    await flow(data);
    const outcome = await run(audit, data, "--symbol", "A", "--date", "2024-08-08");
    assert.deepEqual(findingsOf(outcome), []);
    const [order] = (outcome.checks as Check[]).filter(({ check }) => check === "order");
    assert.deepEqual([order!.venue, order!.status, order!.observed], ["sim", "pass", "0 rows of 2"]);
  });
});

Deno.test("an instrument that a day does not have is one finding, and the books balance all the same", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "100", "--symbols", "2", "--faults", "0");
    await flow(data);
    for (const store of ["lake", "hot"]) {
      const told = await run(audit, data, "--symbol", "NOPE", "--date", "2026-11-20", "--store", store);
      const detail = `${store} has no such instrument on that day`;
      assert.deepEqual(findingsOf(told), [{ finding: "rows", place: "NOPE 2026-11-20", first: -1, last: -1, detail }]);
      assert.equal(told.balanced, true);
      assert.match(
        String(told.text),
        new RegExp(`\nthe books balance: .*\n\n1 finding besides:\n  rows: NOPE 2026-11-20: ${detail}$`),
      );
    }
  });
});

Deno.test("a truth that cannot be written or read is misuse, with its file and line", async () => {
  await withData(async (data) => {
    const truth = `${data}/no/such/folder/t.ndjson`;
    const misuse = (message: RegExp) => (error: unknown) => error instanceof Misuse && message.test(error.message);
    await assert.rejects(
      run(simulate, data, "--ticks", "10", "--truth", truth),
      misuse(/^Cannot write truth ".*t\.ndjson": .+, must be in a folder that is there$/),
    );
    await run(simulate, data, "--ticks", "10", "--faults", "1", "--truth", `${data}/truth`);
    await flow(data);
    await assert.rejects(run(audit, data, "--truth", truth), misuse(/^Cannot read truth ".*t\.ndjson": /));
    await Deno.writeTextFile(`${data}/truth`, "{}\n", { append: true });
    await assert.rejects(run(audit, data, "--truth", `${data}/truth`), misuse(/: line \d+ is no truth \(partition: /));
  });
});

/** Runs a stage and sums up what it counted, whether or not it comes to its end; by name and labels. */
async function counted(data: string, ...[stage, ...args]: [Stage, ...string[]]): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  listeners.set(data, (word) => {
    if (word.word !== "progress") return;
    for (const { name, values, sum } of word.delta.sums) {
      const series = [name, ...values].join(" ");
      sums[series] = (sums[series] ?? 0) + sum;
    }
    for (const { name, values, level } of word.delta.levels) sums[[name, ...values].join(" ")] = level;
  });
  try {
    await run(stage, data, ...args);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  } finally {
    listeners.delete(data);
  }
  return sums;
}

const LIMITS_RECORD: Message = { key: null, value: '{"control":"limits"}', control: true };

Deno.test("what validate counts is what it wrote, and what the log counts is what it holds", async () => {
  await withData(async (data) => {
    await append(data, LIMITS_RECORD);
    const file = (topic: string) => `${data}/log/${topic}/0/00000000000000000000.jsonl`;
    const { size } = await Deno.stat(file("ticks.raw"));
    const produced = await counted(data, simulate, "--ticks", "9000", "--faults", "0.2");
    assert.equal(produced.log_appended_bytes_total, (await Deno.stat(file("ticks.raw"))).size - size);
    const sums = await counted(data, validate);
    const [valid, rejected] = ["ticks.valid", "ticks.rejected"].map((topic) => Deno.readTextFileSync(file(topic)));
    const lines = (text: string, what: RegExp): number => text.split("\n").filter((line) => what.test(line)).length;
    assert.equal(sums.ticks_valid_total, lines(valid!, /"origin":/));
    assert.equal(sums["stage_sent_total ticks.valid validate"], sums.ticks_valid_total);
    for (const name of ["late", "reordered", "gap"]) {
      assert.equal(sums[`ticks_flagged_total ${name}`], lines(valid!, new RegExp(`"flags":\\[[^\\]]*"${name}"`)));
    }
    for (const reason of ["shape", "crossed", "duplicate"]) {
      assert.ok(sums[`ticks_invalid_total ${reason}`]! > 0);
      assert.equal(sums[`ticks_invalid_total ${reason}`], lines(rejected!, new RegExp(`"reason":"${reason}"`)));
    }
    assert.deepEqual([sums.grid_not_judged_total, sums.ticks_untracked_total], [0, 0]);
    assert.ok(sums["venue_skew_seconds sim"]! < 0 && sums["venue_skew_seconds sim"]! > -1);
  });
});
Deno.test("validate counts each batch when it is acknowledged, whatever becomes of a later one", async () => {
  await withData(async (data) => {
    await append(data, LIMITS_RECORD);
    await run(simulate, data, "--ticks", "9000", "--faults", "0.2");
    await append(data, { ...LIMITS_RECORD, value: "{}" });
    await assert.rejects(run(validate, data), Refusal);
    const sums = await counted(data, validate);
    for (const name of ["ticks_valid_total", "ticks_flagged_total late", "ticks_invalid_total shape"]) {
      assert.ok(sums[name]! > 0, name);
    }
  });
});
Deno.test("validate counts the numbers that are missing, and says whom it did not hold against a grid", async () => {
  await withData(async (data) => {
    const at = Date.UTC(2024, 7, 8, 12) * 1_000;
    const trade = (sequence: number, eventTime: number): Message => ({
      key: "sim:A",
      value: JSON.stringify({
        ...{ type: "trade", venue: "sim", symbol: "A", eventTime, receivedTime: eventTime, sequence, id: null },
        ...{ price: "1", size: "1", side: "buy" },
      }),
    });
    await append(data, trade(1, at), trade(5, at + 1), trade(6, at + 5_000_000));
    const { sequence_missing_total, grid_not_judged_total } = await counted(data, validate);
    assert.deepEqual([sequence_missing_total, grid_not_judged_total], [3, 3]);
    assert.equal((await run(validate, data)).untracked, 0);
  });
});

Deno.test("runs add up: two short runs leave what one long run leaves", async () => {
  const rawOf = async (data: string): Promise<unknown[]> => {
    const texts = await Promise.all(
      [0, 1].map((p) => Deno.readTextFile(`${data}/log/ticks.raw/${p}/00000000000000000000.jsonl`)),
    );
    return texts.map((text) =>
      text.trimEnd().split("\n").map((line) => JSON.parse(line).value ?? JSON.parse(line).base64)
    );
  };
  await withData(async (one) => {
    await withData(async (two) => {
      await run(simulate, one, "--ticks", "3000");
      await run(simulate, two, "--ticks", "1000");
      await flow(two);
      await run(simulate, two, "--ticks", "2000");
      await flow(two);
      assert.deepEqual(await rawOf(two), await rawOf(one));
      assert.deepEqual(findingsOf(await run(audit, two)), []);
    });
  });
});

Deno.test("a run that adds nothing changes nothing", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "2000");
    await flow(data);
    const before = await run(audit, data);
    await flow(data);
    const after = await run(audit, data);
    assert.deepEqual(after.books, before.books);
  });
});

Deno.test("a store that is not there any more is found, and its sink fills it again", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "2000");
    await flow(data);
    const before = await run(audit, data);
    for (const gone of ["lake", "hot.db"]) {
      await Deno.remove(`${data}/${gone}`, { recursive: true });
      const found = findingsOf(await run(audit, data)).filter(({ finding }) => finding !== "behind");
      const sink = gone === "lake" ? "sink-cold" : "sink-hot";
      assert.deepEqual([...new Set(found.map(({ finding }) => finding))], ["set back"]);
      assert.ok(
        found.every(({ place, first, detail }) => place.startsWith("ticks.") && first === 0 && detail.includes(sink)),
      );
      await flow(data);
      assert.deepEqual((await run(audit, data)).books, before.books);
    }
  });
});

Deno.test("a repeat that a sink acknowledged and nobody stored sets no store back", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "2000");
    await flow(data);
    const { isLooking: _, ...world } = looking;
    const log = await openTransport(`log:${data}/log`, world);
    for (const topic of [TOPICS.valid, TOPICS.rejected]) {
      for (const [partition, { low, high }] of (await log.ranges(topic)).entries()) {
        const repeats = (await Array.fromAsync(log.read(topic, partition, low, high))).flat();
        await log.append(topic, partition, repeats.map(({ key, value }) => ({ key, value })));
      }
    }
    await log.close();
    await flow(data);
    assert.deepEqual(findingsOf(await run(audit, data)), []);
  });
});

Deno.test("audit names a changed byte, a deleted row and a cut segment", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "4000", "--faults", "0");
    await flow(data);
    const { DatabaseSync } = await import("node:sqlite");
    const db = new DatabaseSync(`${data}/hot.db`);
    const { origin } = db.prepare("SELECT origin FROM quotes WHERE partition = 0 ORDER BY origin LIMIT 1 OFFSET 100")
      .get() as { origin: number };
    db.exec(`DELETE FROM quotes WHERE partition = 0 AND origin = ${origin}`);
    db.close();
    const missing = findingsOf(await run(audit, data));
    assert.deepEqual(missing.map((f) => [f.finding, f.first, f.last]), [["missing in hot", origin, origin]]);

    const parquet = firstFile(`${data}/lake/trades`, ".parquet");
    const bytes = await Deno.readFile(parquet);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    await Deno.chmod(parquet, 0o644);
    await Deno.writeFile(parquet, bytes);
    const changed = findingsOf(await run(audit, data));
    assert.ok(changed.some((f) => f.finding === "lake changed" && parquet.endsWith(f.place)), JSON.stringify(changed));

    const segment = `${data}/log/ticks.raw/1/00000000000000000000.jsonl`;
    const { size } = await Deno.stat(segment);
    await Deno.truncate(segment, size - 5000);
    const cut = findingsOf(await run(audit, data));
    assert.ok(cut.some((f) => f.finding === "log truncated" && f.place === "ticks.raw/1"), JSON.stringify(cut));
  });
});

const kafka = Deno.env.get("KAFKA_URL");
const postgres = Deno.env.get("POSTGRES_URL");
if (!kafka || !postgres) {
  console.log("flow: Kafka and Postgres are not tried, KAFKA_URL and POSTGRES_URL are not both set");
}

Deno.test({
  name: "the same on Kafka and Postgres, and a run that adds nothing changes nothing",
  ignore: !kafka || !postgres,
  fn: async () => {
    await withData(async (data) => {
      const name = `flow_${Deno.pid}_${Date.now()}`;
      const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;
      places.set(data, { transport: given(kafka!, `prefix=${name}.`), hot: given(postgres!, `schema=${name}`) });
      await run(simulate, data, "--ticks", "6000", "--symbols", "8", "--faults", "0.2", "--truth", `${data}/truth`);
      await flow(data);
      const first = await run(audit, data, "--truth", `${data}/truth`);
      assert.deepEqual(findingsOf(first), []);
      await flow(data);
      const second = await run(audit, data);
      assert.deepEqual(second.books, first.books);
    });
  },
});

Deno.test("a message as large as the log takes is rejected whole, and stops nobody", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "10", "--faults", "0");
    const log = await openTransport(`log:${data}/log`, {
      now: Date.now,
      env: () => undefined,
      report: () => {},
      retryForMs: 0,
    });
    const bytes = new Uint8Array(MESSAGE_BYTES_MAX).fill(0xff);
    await log.append("ticks.raw", 0, [{ key: "x", value: bytes }, {
      key: "x",
      value: JSON.stringify("\\u0001".repeat(140_000)),
    }]);
    await flow(data);
    const outcome = await run(audit, data);
    assert.deepEqual(findingsOf(outcome), []);
    const books = outcome.books as { rejected: number }[];
    assert.equal(books[0]!.rejected, 2);
    await log.close();
  });
});

function firstFile(folder: string, end: string): string {
  for (const entry of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return firstFile(path, end);
    if (entry.name.endsWith(end)) return path;
  }
  throw new Error(`no file that ends in ${end} under ${folder}`);
}

Deno.test("a second sink-cold of the group is given its share of the lake by the first", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "3000", "--faults", "0.01");
    await run(validate, data);
    const drain = new AbortController();
    const sink = (onProgress: (received: number) => void) =>
      perform(
        sinkCold,
        { ...settingOf(sinkCold, data, ["--unit-rows", "500"]), retryForMs: 5_000 },
        (word) => word.word === "progress" && onProgress(word.progress.received),
        new AbortController().signal,
        drain.signal,
      );
    const first = Promise.withResolvers<void>(), second = Promise.withResolvers<void>();
    const one = sink((received) => received >= 2000 && first.resolve());
    await first.promise;
    const other = sink((received) => received > 0 && second.resolve());
    await second.promise;
    drain.abort();
    await Promise.all([one, other]);
    await run(sinkHot, data);
    assert.deepEqual(findingsOf(await run(audit, data)), []);
  });
});

Deno.test("a seal that was bound and not made is made at the same place, whatever has come since", async () => {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "500", "--faults", "0");
    await run(validate, data);
    const failing = async (url: string, world: World): Promise<Lake> =>
      new Proxy(await openLake(url, world), {
        get: (lake, name: keyof Lake) =>
          name === "publish"
            ? () => Promise.reject(new Outage("the disk is full"))
            : typeof lake[name] === "function"
            ? lake[name].bind(lake)
            : lake[name],
      });
    const never = new AbortController().signal;
    const doors = { transport: openTransport, hot: openHot, lake: failing };
    const setting = settingOf(sinkCold, data, []);
    await assert.rejects(perform(sinkCold, setting, () => {}, never, AbortSignal.abort(), doors), /the disk is full/);
    const bound = (await openLedger(data)).intent!;
    await run(simulate, data, "--ticks", "500", "--faults", "0");
    await flow(data);
    const { units } = await openLedger(data);
    assert.deepEqual([units[0]!.first, units[0]!.last], [bound.first, bound.last]);
    assert.deepEqual(findingsOf(await run(audit, data)), []);
  });
});
