/**
 * The law of redrive: after a rule is mended and all is redriven, hot store and lake hold what they hold where the mended
 * rule was there from the start.
 */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import redrive from "../cmd/redrive.ts";
import validate from "../cmd/validate.ts";
import { Misuse } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { type Message, TOPICS } from "../lib/transport.ts";
import { flow, places, run, withData } from "../testdata/flow.ts";
import {
  AT,
  contentOf,
  countsOf,
  firstsOf,
  judged,
  marketOf,
  mend,
  redriven,
  rejectedIn,
  rulesOf,
  say,
  settled,
  soundIn,
  tapeOf,
  trade,
  world,
} from "../testdata/redriven.ts";

const kafka = Deno.env.get("KAFKA_URL");
const postgres = Deno.env.get("POSTGRES_URL");
if (!postgres) console.log("redrive: Postgres is not tried, POSTGRES_URL is not set");
if (!kafka) console.log("redrive: Kafka is not tried, KAFKA_URL is not set");
let schemas = 0;

const STORES = ["SQLite", "Postgres", "Kafka and Postgres"] as const;

/** Lets a flow lie on what is tried. */
function settle(data: string, store: typeof STORES[number]): void {
  if (store === "SQLite") return;
  const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;
  const name = `redrive_${Deno.pid}_${Date.now()}_${schemas++}`;
  const transport = store === "Postgres" ? `log:${data}/log?fsync=never` : given(kafka!, `prefix=${name}.`);
  places.set(data, { transport, hot: given(postgres!, `schema=${name}`) });
}

for (const store of STORES) {
  Deno.test({
    name: `what is redriven after a rule was mended is what the mended rule would have let pass, on ${store}`,
    ignore: store !== "SQLite" && !postgres || store === "Kafka and Postgres" && !kafka,
    async fn() {
      for (const seed of store === "SQLite" ? [1, 2, 3] : [1]) {
        await withData(async (data) => {
          const { ticks, instruments } = await marketOf(
            `${data}/market`,
            ...["--ticks", "3000", "--symbols", "6", "--faults", "0.2", "--seed", String(seed)],
          );
          const coarse = instruments.map((instrument, i) =>
            i % 2 === 0 ? { ...instrument, tickSize: "1000" } : instrument
          );
          const wrong = rulesOf(coarse, { futureMsMax: 5_000 });
          const mended = rulesOf(instruments, { futureMsMax: 7_200_000 });
          const [law, way] = [`${data}/law`, `${data}/way`];
          for (const place of [law, way]) {
            await Deno.mkdir(place);
            settle(place, store);
          }
          await tapeOf(law, ticks, mended, mended);
          await tapeOf(way, ticks, wrong, mended);
          await flow(law);
          await flow(way);
          const before = await contentOf(way);
          const outcome = await run(redrive, way);
          await flow(way);
          const [wanted, found] = [await contentOf(law), await contentOf(way)];
          assert.ok(found.hot.length > before.hot.length + 500, "little was redriven");
          assert.deepEqual(found.hot, wanted.hot);
          assert.deepEqual(found.cold, wanted.cold);
          const closed = await run(audit, way);
          assert.deepEqual(closed.findings, []);
          assert.match(String(closed.text), /^partition +raw +valid +rejected +redriven +control /);
          assert.doesNotMatch(String((await run(audit, law)).text), /redriven/);
          assert.equal((await firstsOf(way)).size, found.hot.length - before.hot.length);
          assert.ok((outcome.redriven as number) > 0);
        });
      }
    },
  });
}

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
Deno.test("a letter keeps its key, its partition, its first place and its first time of receipt", strict, async () => {
  const { data, log } = await judged([trade(1), trade(2, { price: "20" })], [
    trade(7, { symbol: "B", source: "backfill" }),
  ]);
  await mend(log);
  await run(redrive, data);
  await settled(data);
  assert.deepEqual(await redriven(log), ["ticks.raw/0/1 1", "ticks.raw/1/1 1"]);
  for (const [partition, { high }] of (await log.ranges(TOPICS.raw)).entries()) {
    for await (const records of log.read(TOPICS.raw, partition, high - 1, high)) {
      assert.deepEqual(records.map(({ key }) => key), [["sim:A", "sim:B"][partition]]);
    }
  }
  const sound = await soundIn(log);
  const { origin, previous, redriven: whence, source, ...tick } = sound.get("A 1")!;
  assert.deepEqual([origin, previous, whence, source], [
    4,
    2,
    { first: "ticks.raw/0/1", replays: 1, unplaced: true },
    "redrive",
  ]);
  assert.deepEqual(tick, JSON.parse(String(trade(1).value)));
  assert.equal(sound.get("B 7")!.source, "redrive");
});

Deno.test("a second run adds nothing, whatever it wants", strict, async () => {
  const { data, log } = await judged([1, 2, 3, 4].map((n) => trade(n, { symbol: n > 2 ? "B" : "A" })), []);
  await mend(log);
  assert.deepEqual(countsOf(await run(redrive, data, "--symbol", "A")), { redriven: 2, letters: 2 });
  assert.deepEqual(countsOf(await run(redrive, data, "--symbol", "A")), { redriven: 0, letters: 0 });
  assert.deepEqual(countsOf(await run(redrive, data, "--reason", "grid")), { redriven: 2, letters: 4, had: 2 });
  assert.deepEqual(countsOf(await run(redrive, data)), { redriven: 0, letters: 4, had: 4 });
  assert.equal((await redriven(log)).length, 4);
  await settled(data);
  assert.deepEqual(countsOf(await run(redrive, data)), { redriven: 0, letters: 0 });
  assert.equal((await soundIn(log)).size, 4);
});

Deno.test(
  "letters are wanted by rule, venue, instrument and time of receipt, in hot as in the topic",
  strict,
  async () => {
    for (const store of ["hot", "topic"]) {
      const odd: Message = { key: "sim:A", value: "{" };
      const { data, log } = await judged([trade(1), trade(2, { price: "0" }), trade(9), odd], [
        trade(3, { symbol: "B" }),
      ]);
      await mend(log);
      const of = async (...args: string[]) =>
        countsOf(await run(redrive, data, "--dry-run", "--store", store, ...args));
      assert.deepEqual(await of("--reason", "price"), { redriven: 1, letters: 1 });
      assert.deepEqual(await of("--symbol", "A"), { redriven: 3, letters: 4, unfit: 1 });
      assert.deepEqual(await of("--venue", "sim", "--symbol", "B"), { redriven: 1, letters: 1 });
      assert.deepEqual(await of("--venue", "kraken"), { redriven: 0, letters: 0 });
      assert.deepEqual(await of("--severity", "quarantine"), { redriven: 0, letters: 0 });
      assert.deepEqual(await of("--since", String(AT + 3_000)), { redriven: 2, letters: 2 });
      assert.deepEqual(await of("--since", new Date(AT / 1_000 + 4).toISOString()), { redriven: 1, letters: 1 });
      await assert.rejects(of("--since", "yesterday"), Misuse);
      assert.deepEqual([await redriven(log), await log.load("redrive", 0)], [[], null]);
    }
  },
);

Deno.test(
  "what is no object, says a field twice or is cut cannot be given a source, and stays as it was",
  strict,
  async () => {
    const twice = String(trade(2).value).replace('"size":"1"', '"size":"1","size":"2"');
    const values = ["", "[1]", "null", '"text"', new Uint8Array([0xff]), twice, '{"a":1}'];
    const { data, log } = await judged(values.map((value) => ({ key: null, value })), []);
    assert.deepEqual(countsOf(await run(redrive, data)), { redriven: 1, letters: 7, unfit: 6 });
    assert.deepEqual(await redriven(log), ["ticks.raw/0/7 1"]);
  },
);

Deno.test("what is rejected again is another letter, until it was replayed as often as may be", strict, async () => {
  const { data, log } = await judged([trade(1), trade(2)], []);
  for (let replay = 1; replay <= 3; replay++) {
    assert.deepEqual(
      countsOf(await run(redrive, data, "--replays-max", "3", "--reason", "grid")),
      { redriven: 2, letters: 2 },
    );
    await settled(data);
  }
  assert.deepEqual(countsOf(await run(redrive, data, "--replays-max", "3", "--reason", "grid")), {
    ...{ redriven: 0, letters: 2, ceiling: 2 },
  });
  const places = ["ticks.raw/0/1", "ticks.raw/0/2"];
  assert.deepEqual(await redriven(log), [1, 2, 3].flatMap((replay) => places.map((first) => `${first} ${replay}`)));
  await mend(log);
  assert.deepEqual(countsOf(await run(redrive, data, "--replays-max", "4", "--reason", "grid")), {
    ...{ redriven: 2, letters: 8, had: 6 },
  });
  await settled(data);
  assert.deepEqual([...(await soundIn(log)).values()].map(({ redriven }) => redriven), [
    { first: "ticks.raw/0/1", replays: 4, unplaced: true },
    { first: "ticks.raw/0/2", replays: 4, unplaced: true },
  ]);
});

Deno.test("the history says of each run what became of what it sent", strict, async () => {
  const { data, log } = await judged([trade(1), trade(2, { price: "0" }), trade(3)], [trade(7, { symbol: "B" })]);
  const history = async () => {
    const { runs, text } = await run(redrive, data, "history");
    const all = runs as { sent: number; accepted: number; rejected: number; unjudged: number }[];
    return { text: String(text), runs: all.map((of) => [of.sent, of.accepted, of.rejected, of.unjudged]) };
  };
  assert.deepEqual(await history(), { text: "nothing was redriven yet", runs: [] });
  await mend(log);
  await run(redrive, data, "--symbol", "A");
  assert.deepEqual((await history()).runs, [[3, 0, 0, 3]]);
  await settled(data);
  await run(redrive, data, "--replays-max", "2");
  const { text, runs } = await history();
  assert.deepEqual(runs, [[3, 2, 1, 0], [2, 0, 0, 2]]);
  assert.match(text, / state +letters +sent +accepted +rejected +unjudged +wanted\n.* done +3 +3 +2 +1 +0 +--symbol A/);
  await settled(data);
  assert.deepEqual((await history()).runs, [[3, 2, 1, 0], [2, 1, 1, 0]]);
});

Deno.test("a tick that came again by another way and is stored is not redriven beside it", strict, async () => {
  const { data, log } = await judged([trade(1), trade(2), trade(3)], []);
  await mend(log);
  // What was missed is fetched; nothing was sound before, so that no number was taken note of.
  await log.append(TOPICS.raw, 0, [trade(1, { source: "backfill" }), trade(2, { source: "backfill" })]);
  await settled(data);
  assert.deepEqual(countsOf(await run(redrive, data)), { redriven: 1, letters: 3, stored: 2 });
  await settled(data);
  assert.deepEqual([...(await soundIn(log)).keys()].sort(), ["A 1", "A 2", "A 3"]);
});

Deno.test("a duplicate of whatever else is wrong is not redriven: it would be one again", strict, async () => {
  for (const store of ["hot", "topic"]) {
    const hour = 3_600_000_000;
    const { data, log } = await judged([
      ...[trade(1, { price: "20" }), trade(2, { price: "20" }), trade(2), trade(3, { eventTime: AT + hour })],
      trade(2, { eventTime: AT + hour, price: "20" }),
    ], []);
    await mend(log);
    await say(log, { control: "limits", futureMsMax: 7_200_000 });
    const sent = async (...args: string[]) => countsOf(await run(redrive, data, "--store", store, ...args));
    assert.deepEqual(await sent("--reason", "future", "--dry-run"), { redriven: 0, letters: 1, repeated: 1 });
    assert.deepEqual(await sent(), { redriven: 1, letters: 3, repeated: 2 });
    await settled(data);
    assert.deepEqual([...(await soundIn(log)).keys()], ["A 1", "A 2", "A 3"]);
  }
});

Deno.test("a tick from the future that came again at its own time and is stored is not redriven", strict, async () => {
  const ahead = (sequence: number) => trade(sequence, { price: "20", eventTime: AT + 3_600_000_000 });
  const { data, log } = await judged([ahead(1), ahead(2)], []);
  await say(log, { control: "limits", futureMsMax: 7_200_000 });
  await log.append(TOPICS.raw, 0, [trade(1, { price: "20", source: "backfill" })]);
  await settled(data);
  assert.deepEqual(countsOf(await run(redrive, data)), { redriven: 1, letters: 2, stored: 1 });
  await settled(data);
  assert.deepEqual([...(await soundIn(log)).keys()], ["A 1", "A 2"]);
});

// DuckDB leaves a port open, as in all tests of whole flows.
Deno.test("an audit finds what came back twice, and what came back though it had been sound", () =>
  withData(async (data) => {
    const again = (sequence: number, first: number) =>
      trade(sequence, { source: "redrive", redriven: { first: `ticks.raw/0/${first}`, replays: 1 } });
    const raw = [trade(1), trade(2, { price: "0" }), trade(3, { price: "0" }), again(4, 0), again(5, 1), again(6, 1)];
    await tapeOf(data, [raw, []], [], []);
    await flow(data);
    const { findings } = await run(audit, data);
    assert.deepEqual(
      (findings as { finding: string; place: string; first: number }[]).map(({ finding, place, first }) =>
        `${finding} ${place} ${first}`
      ),
      ["redriven twice ticks.valid/0 3", "redriven twice ticks.valid/0 5"],
    );
  }));

Deno.test("how a tick was made is still so when it was redriven", strict, async () => {
  const sources = ["conflated", "built", "backfill", undefined];
  const { data, log } = await judged(sources.map((source, i) => trade(i + 1, { source })), []);
  await mend(log);
  await run(redrive, data);
  await settled(data);
  const hot = await openHot(`memory:${data}`, world);
  const rows: unknown[] = [];
  for await (const chunk of hot.rows("trades", 0, 0, 100)) rows.push(...chunk.map((row) => row[9]));
  assert.deepEqual(rows, ["conflated", "built", "redrive", "redrive"]);
});

Deno.test(
  "live ticks and redriven ones of a series that began with letters do not take each other's numbers",
  strict,
  async () => {
    const { data, log } = await judged([trade(1), trade(2), trade(2), trade(3)], []);
    await mend(log);
    await log.append(TOPICS.raw, 0, [trade(4)]);
    await run(validate, data);
    await run(redrive, data, "--store", "topic");
    await log.append(TOPICS.raw, 0, [trade(5), trade(3)]);
    await settled(data);
    assert.deepEqual([...(await soundIn(log)).keys()].sort(), ["A 1", "A 2", "A 3", "A 4", "A 5"]);
    const { counts } = await rejectedIn(log);
    assert.deepEqual(counts, { grid: 4, duplicate: 2 });
  },
);
