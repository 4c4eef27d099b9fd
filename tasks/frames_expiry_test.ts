/** The command `frames`: what it shows, checks and expires, and how ingest goes on from what is kept. */
import assert from "@std/assert";
import frames from "../cmd/frames.ts";
import ingest from "../cmd/ingest.ts";
import { Misuse, Refusal } from "../lib/failure.ts";
import { type Frame, FRAMES, messagesOf } from "../lib/frames.ts";
import { permissionsOf } from "../lib/permission.ts";
import { openTransport, partitionOf, TOPICS } from "../lib/transport.ts";
import { listeners, places, run, settingOf, withData } from "../testdata/flow.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const DAY = 86_400_000_000;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
const SHELF = partitionOf("binance", 2);
/** Since when it is today, by the clock that the commands go by. */
const TODAY = Math.floor(Date.now() * 1000 / DAY) * DAY;

const tradeText = (id: number): string =>
  JSON.stringify({
    ...{ e: "trade", E: 1_700_000_000_000 + id, s: "AAAUSD", t: id, p: "100.10", q: "0.50" },
    ...{ T: 1_700_000_000_000 + id, m: false, M: true },
  });
const trade = (number: number, daysAgo: number): Frame => ({
  ...{ venue: "binance", connection: "c", number, receivedTime: TODAY - daysAgo * DAY + number },
  frame: tradeText(number),
});

/** A tape of two frames a day, so many days ago each. */
async function tapeOf(data: string, from: number, ...daysAgo: readonly number[]): Promise<void> {
  const log = await openTransport(`log:${data}/log?fsync=never`, world);
  await log.create(FRAMES, 2);
  for (const [i, days] of daysAgo.entries()) {
    const first = from + 2 * i;
    await log.append(FRAMES, SHELF, [trade(first, days), trade(first + 1, days)].flatMap(messagesOf));
  }
  await log.close();
}

/** Runs a stage, and gives what it said with what it came to. */
async function told(stage: typeof frames, data: string, ...args: string[]) {
  const said: string[] = [];
  listeners.set(data, (word) => word.word === "report" && said.push(word.line));
  const outcome = await run(stage, data, ...args);
  listeners.delete(data);
  return { ...outcome, said: said.filter((line) => !line.startsWith("log in")) } as Record<string, unknown> & {
    readonly said: string[];
    readonly text: string;
  };
}

/** Trade ids of the ticks of a tape, in order. */
async function idsIn(data: string): Promise<number[]> {
  const log = await openTransport(`log:${data}/log`, { ...world, isLooking: true });
  const ids: number[] = [];
  for (const [partition, { low, high }] of (await log.ranges(TOPICS.raw)).entries()) {
    for await (const records of log.read(TOPICS.raw, partition, low, high)) {
      for (const { value } of records) ids.push(Number(JSON.parse(String(value)).id));
    }
  }
  await log.close();
  return ids;
}

const segmentsOf = (outcome: Record<string, unknown>) =>
  outcome.segments as { state: string; first: number; last: number; frames: Record<string, number>; file: string }[];

Deno.test(
  "frames shows each segment: its state, offsets, frames by venue, times, bytes and hash",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 40, 39, 1);
      const shown = await told(frames, data);
      assert.deepEqual(
        segmentsOf(shown).map(({ state, first, last, frames }) => [state, first, last, frames.binance]),
        [
          ["closed", 0, 1, 2],
          ["closed", 2, 3, 2],
          ["open", 4, 5, 2],
        ],
      );
      assert.deepEqual(
        shown.partitions,
        [0, 1].map((partition) => ({ partition, low: 0, high: partition === SHELF ? 6 : 0 })),
      );
      assert.match(shown.text, /^file +state +first +last +came first +came last +bytes +sha-256 +frames\n/);
      assert.match(shown.text, /0\.jsonl +closed +0 +1 +\d{4}-.*Z +\d{4}-.*Z +[\d,]+ +[0-9a-f]{12} +binance 2\n/);
      assert.match(
        (await told(frames, data, "--check")).text,
        /2 closed files are what was noted .*; 1 more are sound/,
      );
    }),
);

Deno.test("a damaged byte is found by --check, named, and a finding", strict, () =>
  withData(async (data) => {
    await tapeOf(data, 0, 40, 39, 1);
    const path = `${data}/log/${FRAMES}/${SHELF}/${segmentsOf(await told(frames, data))[1]!.file}`;
    const bytes = await Deno.readFile(path);
    bytes[bytes.length - 9]! ^= 4;
    await Deno.writeFile(path, bytes);
    assert.deepEqual((await told(frames, data)).findings, []);
    const { findings, text } = await told(frames, data, "--check");
    assert.deepEqual((findings as { place: string }[]).map(({ place }) => place), [`${FRAMES}/${SHELF}/3`]);
    assert.match(text, /damaged +frames\/\d\/3 +0{19}2\.jsonl, bytes \d+ to \d+: not as it was written$/);
  }));

Deno.test(
  "an expiry says what goes and why the rest stays, first dry, then for good, then that nothing is left to do",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 40, 39, 1, 0);
      const age = ["--expire", "--older-than", "30d"];
      const place = `frames/${SHELF}`;
      const kept = new RegExp(
        `; kept from 4 on: its last frame came ${new Date(TODAY / 1000 - 864e5).toISOString().slice(0, 11)}`,
      );
      const dry = await told(frames, data, ...age, "--dry-run");
      assert.match(dry.text, new RegExp(`^${place}: "${place}/0" to 3 would expire, [\\d,]+ bytes`, "m"));
      assert.match(dry.text, kept);
      assert.deepEqual(segmentsOf(dry).map(({ state }) => state), ["closed", "closed", "closed", "open"]);
      const done = await told(frames, data, ...age);
      assert.match(done.text, new RegExp(`^${place}: "${place}/0" to 3 expired, [\\d,]+ bytes`, "m"));
      assert.match(done.text, kept);
      assert.deepEqual(segmentsOf(done).map(({ state, frames }) => [state, frames.binance]), [
        ["expired", 2],
        ["expired", 2],
        ["closed", 2],
        ["open", 2],
      ]);
      const again = await told(frames, data, ...age);
      assert.match(again.text, new RegExp(`^${place}: nothing expired; kept from 4 on`, "m"));
      assert.deepEqual(segmentsOf(again), segmentsOf(done));
      assert.match((await told(frames, data, "--expire", "--older-than", "12h")).text, /"frames\/\d\/4" to 5 expired/);
    }),
);

Deno.test(
  "an age or a dry run without an expiry, and an expiry without an age, are misuse",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 40, 1);
      for (const args of [["--expire"], ["--older-than", "30d"], ["--dry-run"]]) {
        await assert.rejects(() => run(frames, data, ...args), Misuse);
      }
      for (const age of ["30", "0d", "-1d", "30m", "1e3d"]) {
        assert.throws(() => settingOf(frames, data, ["--expire", "--older-than", age]), Misuse);
      }
    }),
);

Deno.test(
  "where nothing was kept, and where the files are not ours, one line says so",
  strict,
  () =>
    withData(async (data) => {
      await assert.rejects(() => run(frames, data), /none are kept there, must be what ingest --frames keeps/);
      await run(ingest, data, "--from", "testdata/venue/binance/trades.jsonl");
      await assert.rejects(() => run(frames, data), /none are kept there, must be what ingest --frames keeps/);
      places.set(data, { transport: "kafka://user:secret@localhost:1?prefix=p.", hot: "" });
      await assert.rejects(() => run(frames, data, "--expire", "--older-than", "2d"), (error: Error) => {
        assert.ok(error instanceof Misuse);
        assert.match(error.message, /entity-name p\.frames --add-config retention\.ms=172800000$/);
        assert.ok(!error.message.includes("secret"));
        return true;
      });
      await assert.rejects(() => run(frames, data, "--check"), /its files are the brokers', who check them/);
      places.delete(data);
    }),
);

Deno.test("frames may write to its log where it expires something, and nowhere else", () => {
  const grantedBy = (...args: string[]) => permissionsOf(frames, settingOf(frames, "/tape", args)).write;
  assert.deepEqual(grantedBy(), []);
  assert.deepEqual(grantedBy("--check"), []);
  assert.deepEqual(grantedBy("--expire", "--older-than", "1d", "--dry-run"), []);
  assert.deepEqual(grantedBy("--expire", "--older-than", "1d"), ["/tape/log"]);
});

/** What ingest makes of the tape on a tape of its own, and the ticks that are there then. */
async function fedBack(data: string) {
  const outcome = await told(ingest, `${data}/again`, "--from", `log:${data}/log/${FRAMES}`);
  return { said: outcome.said, lines: outcome.lines, ids: await idsIn(`${data}/again`) };
}

Deno.test(
  "ingest goes on from the first frame that is kept, and says in one line what expired",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 40, 39, 1, 0);
      await run(frames, data, "--expire", "--older-than", "30d");
      const { said, lines, ids } = await fedBack(data);
      const latest = new Date((TODAY - 39 * DAY) / 1000).toISOString();
      assert.deepEqual(said, [
        `frames "frames/${SHELF}/0" to 3 expired, the last of them of ${latest}; what is kept begins at 4`,
      ]);
      assert.deepEqual([lines, ids], [4, [4, 5, 6, 7]]);
      assert.deepEqual((await fedBack(data)).ids, [4, 5, 6, 7]);
    }),
);

Deno.test("frames that somebody removed by hand are not said to have expired", strict, () =>
  withData(async (data) => {
    await tapeOf(data, 0, 40, 39, 1);
    const [first] = segmentsOf(await told(frames, data));
    await Deno.remove(`${data}/log/${FRAMES}/${SHELF}/${first!.file}`);
    const { said, ids } = await fedBack(data);
    assert.deepEqual(said, [
      `frames "frames/${SHELF}/0" to 1 are gone, and no manifest says that they expired; what is kept begins at 2`,
    ]);
    assert.deepEqual(ids, [2, 3, 4, 5]);
    assert.match((await told(frames, data)).text, /^missing +frames\/\d\/0 to 1 /m);
  }));

Deno.test(
  "a run that goes on where the tape has expired since adds what is kept once, and says what it never read",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 60, 50);
      assert.deepEqual((await fedBack(data)).ids, [0, 1, 2, 3]);
      await tapeOf(data, 4, 40, 39, 1, 0);
      await run(frames, data, "--expire", "--older-than", "30d");
      const { said, ids } = await fedBack(data);
      assert.deepEqual(ids, [0, 1, 2, 3, 8, 9, 10, 11]);
      assert.deepEqual([said[0], said.length], ["frames 4 to 7 are gone, and were never read", 2]);
      await tapeOf(data, 12, 0);
      assert.deepEqual(await fedBack(data).then(({ ids, said }) => [ids.slice(8), said.length]), [[12, 13], 1]);
    }),
);

Deno.test("a run that had read what expired goes on as if nothing had", strict, () =>
  withData(async (data) => {
    await tapeOf(data, 0, 60, 50, 1);
    await fedBack(data);
    await tapeOf(data, 6, 0);
    await run(frames, data, "--expire", "--older-than", "55d");
    assert.deepEqual((await fedBack(data)).ids, [0, 1, 2, 3, 4, 5, 6, 7]);
  }));

for (const [age, ends] of [[null, "adds each tick once"], ["55d", "is refused"], ["30d", "is refused"]] as const) {
  Deno.test(
    `an interrupted run, when what is older than ${age ?? "ever"} has expired since, ${ends}`,
    strict,
    () =>
      withData(async (data) => {
        await tapeOf(data, 0, 60, 50);
        await fedBack(data);
        const checkpoint = `${data}/again/log/checkpoint/ingest-0.json`;
        const saved = await Deno.readTextFile(checkpoint);
        await tapeOf(data, 4, 40, 39);
        await fedBack(data);
        // As if it had died before it saved.
        await Deno.writeTextFile(checkpoint, saved);
        await tapeOf(data, 8, 1);
        if (age === null) return assert.deepEqual((await fedBack(data)).ids, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        await run(frames, data, "--expire", "--older-than", age);
        const refused = (error: Error) =>
          error instanceof Refusal &&
          /what they were made of expired since, must be read into another tape/.test(error.message);
        await assert.rejects(() => fedBack(data), refused);
        // Not the second time either.
        await assert.rejects(() => fedBack(data), refused);
        assert.deepEqual(await idsIn(`${data}/again`), [0, 1, 2, 3, 4, 5, 6, 7]);
      }),
  );
}

Deno.test(
  "a run that dies as soon as it has taken note of what expired reads nothing twice",
  strict,
  () =>
    withData(async (data) => {
      await tapeOf(data, 0, 60, 50, 1);
      await fedBack(data);
      await tapeOf(data, 6, 0);
      await run(frames, data, "--expire", "--older-than", "55d");
      const again = `${data}/again`;
      listeners.set(again, (word) => {
        if (word.word === "report" && word.line.includes("expired")) throw new Error("killed");
      });
      await assert.rejects(() => run(ingest, again, "--from", `log:${data}/log/${FRAMES}`), /killed/);
      assert.deepEqual((await fedBack(data)).ids, [0, 1, 2, 3, 4, 5, 6, 7]);
    }),
);

Deno.test("a run that is interrupted after an expiry, and not before, goes on", strict, () =>
  withData(async (data) => {
    await tapeOf(data, 0, 60, 1);
    await run(frames, data, "--expire", "--older-than", "30d");
    await fedBack(data);
    const checkpoint = `${data}/again/log/checkpoint/ingest-0.json`;
    const saved = await Deno.readTextFile(checkpoint);
    await tapeOf(data, 4, 0);
    await fedBack(data);
    await Deno.writeTextFile(checkpoint, saved);
    assert.deepEqual((await fedBack(data)).ids, [2, 3, 4, 5]);
  }));

Deno.test("of frames without files of ours a partition's offsets are shown", strict, () =>
  withData(async (data) => {
    const url = "memory:frames-shown";
    const log = await openTransport(url, world);
    await log.create(FRAMES, 2);
    await log.append(FRAMES, SHELF, [trade(0, 1), trade(1, 1)].flatMap(messagesOf));
    places.set(data, { transport: url, hot: "" });
    const shown = await told(frames, data);
    assert.deepEqual(shown.partitions, [0, 1].map((p) => ({ partition: p, low: 0, high: p === SHELF ? 2 : 0 })));
    assert.match(shown.text, /^partition +first +next +offsets\n/);
    assert.match(shown.text, new RegExp(`^ +${SHELF} +0 +2 +2$`, "m"));
    await assert.rejects(
      () => run(frames, data, "--expire", "--older-than", "1d"),
      /it has no files, must be log:FOLDER/,
    );
    places.delete(data);
    await log.close();
  }));

Deno.test("a partition whose folder is gone is an outage in one line", strict, () =>
  withData(async (data) => {
    await tapeOf(data, 0, 1);
    await Deno.remove(`${data}/log/${FRAMES}/${1 - SHELF}`, { recursive: true });
    await assert.rejects(() => run(frames, data), /^Outage: Cannot look after the frames in "log:.*": No such file/);
  }));
