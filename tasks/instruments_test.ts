/**
 * `ingest --instruments` against a pretended venue on a real socket, and against answers that change: what it brings into
 * force, when it says nothing, and what `validate` makes of it.
 */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import validate from "../cmd/validate.ts";
import { Misuse, Outage } from "../lib/failure.ts";
import { FRAMES, readFrames } from "../lib/frames.ts";
import { bring, type Bringing, restingOf } from "../lib/instruments.ts";
import { Pretend } from "../lib/pretend.ts";
import type { Outcome } from "../lib/stage.ts";
import { type LogRecord, openTransport, TOPICS, type Transport } from "../lib/transport.ts";
import { isTick, keyOf } from "../lib/tick.ts";
import { openVenue } from "../lib/venue.ts";
import { run, withData } from "../testdata/flow.ts";
import { trying } from "../testdata/waiting.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const never = new AbortController().signal;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 } as const;

async function withLog<T>(data: string, use: (log: Transport) => Promise<T>, isLooking = true): Promise<T> {
  const log = await openTransport(`log:${data}/log?fsync=never`, isLooking ? { ...world, isLooking } : world);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

/** The records of a topic, partition by partition. */
function recordsIn(data: string, topic: string): Promise<LogRecord[][]> {
  return withLog(data, async (log) => {
    const ranges = await log.ranges(topic);
    return await Promise.all(ranges.map(async ({ low, high }, partition) => {
      const all: LogRecord[] = [];
      for await (const records of log.read(topic, partition, low, high)) all.push(...records);
      return all;
    }));
  });
}

interface Said {
  readonly since: number;
  readonly until?: number;
  readonly instruments: readonly { readonly symbol: string; readonly tickSize: string; readonly lot: string }[];
}
/** What the control records say, which every partition has to hold alike. */
async function saidIn(data: string): Promise<Said[]> {
  const [first, ...others] = (await recordsIn(data, TOPICS.raw)).map((records) =>
    records.filter(({ control }) => control).map(({ value }) => value as string)
  );
  assert.ok(others.length > 0);
  for (const other of others) assert.deepEqual(other, first);
  return first!.map((value) => JSON.parse(value));
}

const countsOf = ({ instruments, changed, halted, closed, stepless }: Outcome) => ({
  ...{ instruments, changed, halted, closed, stepless },
});

/** A venue whose answer the test gives, and what it was asked. */
function served(answer: (path: string) => string, status = 200) {
  const asked: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, ({ url }) => {
    const { pathname, search } = new URL(url);
    asked.push(pathname + search);
    return new Response(answer(pathname + search), { status });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, asked, [Symbol.asyncDispose]: () => server.shutdown() };
}

type Row = readonly [symbol: string, tickSize: string, lot: string, status?: string];
const infoOf = (rows: readonly Row[]): string =>
  JSON.stringify({
    symbols: rows.map(([symbol, tickSize, stepSize, status = "TRADING"]) => ({
      ...{ symbol, status },
      filters: [{ filterType: "PRICE_FILTER", tickSize }, { filterType: "LOT_SIZE", stepSize }],
    })),
  });

Deno.test(
  "a venue's instruments come into force, and a tick off their grid is rejected",
  strict,
  () =>
    withData(async (data) => {
      const pretend = await Pretend.open({ as: "binance", symbols: 5 });
      try {
        const args = ["--instruments", "--venue", "binance", "--rest", pretend.restUrl];
        const first = await run(ingest, data, ...args);
        const count = pretend.symbols.length;
        assert.deepEqual(countsOf(first), { instruments: count, changed: count, halted: 0, closed: 0, stepless: 0 });
        const [said, ...more] = await saidIn(data);
        assert.deepEqual([said!.instruments.map(({ symbol }) => symbol), more], [pretend.symbols, []]);

        const again = await run(ingest, data, ...args);
        assert.deepEqual([again.instruments, again.changed], [count, 0]);
        assert.equal((await saidIn(data)).length, 1, "nothing has changed, so nothing is said");

        // One before anybody knew, two after it: of these the first is on the grid.
        const { symbol, tickSize, lot } = said!.instruments[0]!;
        const frame = (t: number, time: number, price: string) =>
          `${time}000000 ${
            JSON.stringify({ ...{ e: "trade", E: time, s: symbol, t, p: price, q: lot, T: time, m: true, M: true } })
          }`;
        const before = Math.floor(said!.since / 1000) - 1;
        const lines = [[1, before, "7"], [2, before + 10, "0"], [3, before + 20, "7"]] as const;
        await Deno.writeTextFile(
          `${data}/capture.jsonl`,
          lines.map(([t, time, digit]) => frame(t, time, `${tickSize}${digit}`) + "\n").join(""),
        );
        await run(ingest, data, "--from", `${data}/capture.jsonl`);
        const judged = await run(validate, data);
        const rejected = (await recordsIn(data, TOPICS.rejected)).flat().map(({ value }) =>
          JSON.parse(value as string)
        );
        assert.deepEqual(rejected.map(({ reason, raw }) => [reason, JSON.parse(raw).sequence]), [["grid", 3]]);
        assert.equal((await recordsIn(data, TOPICS.valid)).flat().length, 2, JSON.stringify(judged));
      } finally {
        await pretend.close();
      }
    }),
);

Deno.test(
  "what has changed is said with all else, since when, and until when it was known to be otherwise",
  strict,
  () =>
    withData(async (data) => {
      let rows: readonly Row[] = [["A", "0.010", "1"], ["B", "0.5", "0.1"], ["C", "0", "1"]];
      await using venue = served(() => infoOf(rows));
      const ask = (...more: string[]) => run(ingest, data, "--instruments", "--rest", venue.url, ...more);
      assert.deepEqual(countsOf(await ask()), { instruments: 3, changed: 2, halted: 0, closed: 0, stepless: 1 });
      await ask();
      rows = [["A", "0.01", "1", "HALT"], ["B", "0.25", "0.1"], ["D", "1", "1"]];
      const outcome = await ask();
      assert.deepEqual(countsOf(outcome), { instruments: 3, changed: 2, halted: 1, closed: 0, stepless: 0 });
      assert.equal(
        outcome.text,
        "instruments   3 of binance, 2 changed, 1 halted, 0 closed, 1 of another status than before",
      );
      const [first, second, ...more] = await saidIn(data);
      const steps = ({ instruments }: Said) => instruments.map(({ symbol, tickSize, lot }) => [symbol, tickSize, lot]);
      assert.deepEqual([steps(first!), first!.until], [[["A", "0.01", "1"], ["B", "0.5", "0.1"]], undefined]);
      assert.deepEqual(steps(second!), [["A", "0.01", "1"], ["B", "0.25", "0.1"], ["D", "1", "1"]]);
      assert.ok(
        first!.since < second!.until! && second!.until! < second!.since,
        "it was asked in between, and was the same",
      );
      assert.deepEqual(more, []);
      assert.equal((await ask("--again")).changed, 0);
      assert.equal((await saidIn(data)).length, 3, "once more, because it was wished");
      assert.deepEqual(new Set(venue.asked), new Set(["/api/v3/exchangeInfo?showPermissionSets=false"]));
    }),
);

/** What ticks tell of instruments' statuses, in the order of their times. */
async function statusesIn(data: string): Promise<string[]> {
  const ticks = (await recordsIn(data, TOPICS.raw)).flat().filter(({ control }) => !control)
    .map(({ key, value }) => ({ key, tick: JSON.parse(value as string) }));
  assert.ok(ticks.every(({ key, tick }) => isTick(tick) && key === keyOf(tick)));
  return ticks.sort((a, b) => a.tick.eventTime - b.tick.eventTime || (a.key! < b.key! ? -1 : 1)).map(({ tick }) =>
    `${tick.symbol} ${tick.state} ${tick.detail}`
  );
}

Deno.test(
  "an instrument whose status is another one than before is told as a tick, and once",
  strict,
  () =>
    withData(async (data) => {
      let rows: readonly Row[] = [["A", "1", "1", "BREAK"], ["B", "1", "1"], ["constructor", "0", "1", "HALT"]];
      await using venue = served(() => infoOf(rows));
      const ask = (...more: string[]) => run(ingest, data, "--instruments", "--rest", venue.url, ...more);
      assert.equal((await ask()).switched, 2);
      const said = ["A halted as listed", "constructor halted as listed"];
      assert.deepEqual(await statusesIn(data), said);
      const [{ since }] = await saidIn(data) as [Said];
      assert.equal((await ask("--again")).switched, 0);
      // Without any other change there is nothing but the tick.
      rows = [["A", "1", "1"], ["B", "1", "1", "HALT"], ["constructor", "0", "1", "HALT"]];
      assert.deepEqual([(await ask("--symbols", "B")).switched, (await ask()).switched, (await ask()).switched], [
        1,
        1,
        0,
      ]);
      said.push("B halted as listed", "A trading as listed");
      assert.deepEqual(await statusesIn(data), said);
      assert.equal((await saidIn(data)).length, 2);
      const [first] = (await recordsIn(data, TOPICS.raw)).flat().filter(({ key }) => key === "binance:A");
      assert.equal(JSON.parse(first!.value as string).eventTime, since);
      rows = [["A", "1", "1"]];
      assert.equal((await ask()).switched, 1);
      assert.equal((await statusesIn(data)).at(-1), "B closed as listed");
      assert.deepEqual(await withLog(data, (log) => restingOf("binance", log)), ["constructor", "B"]);
      assert.deepEqual(await withLog(data, (log) => restingOf("bybit", log)), []);
      await run(validate, data);
      const judged = await Promise.all([TOPICS.valid, TOPICS.rejected].map((topic) => recordsIn(data, topic)));
      assert.deepEqual(judged.map((records) => records.flat().filter(({ control }) => !control).length), [5, 0]);
    }),
);

Deno.test(
  "of some instruments alone is spoken where they are named, and the others stay as they were",
  strict,
  () =>
    withData(async (data) => {
      let rows: readonly Row[] = [["A", "1", "1"], ["B", "1", "1"], ["C", "1", "1"]];
      await using venue = served(() => infoOf(rows));
      const ask = (...more: string[]) => run(ingest, data, "--instruments", "--rest", venue.url, ...more);
      assert.deepEqual((await ask("--symbols", "A,B")).instruments, 2);
      rows = [["A", "2", "1"], ["B", "2", "1"], ["C", "2", "1"]];
      assert.equal((await ask("--symbols", "A,C")).changed, 2);
      rows = [["B", "2", "1"]];
      assert.deepEqual(countsOf(await ask("--symbols", "A")), {
        instruments: 0,
        changed: 1,
        halted: 0,
        closed: 0,
        stepless: 0,
      });
      const said = await saidIn(data);
      assert.deepEqual(
        said.map(({ instruments }) => instruments.map(({ symbol, tickSize }) => symbol + tickSize).sort().join()),
        ["A1,B1", "A2,B1,C2", "B1,C2"],
      );
      // B was not asked about since the first time.
      assert.ok(said[2]!.until! < said[0]!.since);
      await assert.rejects(
        ask("--symbols", "B,NONE"),
        /^Misuse: Cannot bring instrument "NONE" into force: binance does not list it/,
      );
      assert.equal((await saidIn(data)).length, 3);
    }),
);

Deno.test(
  "the answer is kept as a frame where frames are kept, and gives nothing when it is fed back",
  strict,
  () =>
    withData(async (data) => {
      await using venue = served(() => infoOf([["A", "1", "1"]]));
      const ask = (...more: string[]) => run(ingest, data, "--instruments", "--rest", venue.url, ...more);
      await ask("--frames");
      await ask();
      await ask("--frames");
      const kept = await withLog(data, async (log) => {
        const all = [];
        for await (const { frames } of readFrames(log, "binance", { from: 0 }, never)) all.push(...frames);
        return all;
      });
      assert.deepEqual(kept.map(({ connection, number, frame }) => [connection, number, frame]), [
        ["binance-instruments-1.rest", 0, infoOf([["A", "1", "1"]])],
        ["binance-instruments-3.rest", 0, infoOf([["A", "1", "1"]])],
      ]);
      assert.equal(kept[0]!.request, `${venue.url}/api/v3/exchangeInfo?showPermissionSets=false`);
      const fed = await run(ingest, `${data}/again`, "--from", `log:${data}/log/${FRAMES}`);
      assert.deepEqual([fed.lines, fed.ticks, fed.kinds], [2, 0, { exchangeInfo: 2 }]);
    }),
);

Deno.test("pages are asked for until the last", strict, () =>
  withData(async (data) => {
    const names = ["A", "B", "C"].map((name) => `${name}USDT`);
    await using venue = served((path) => {
      const at = Number(/cursor=page%3A(\d)/.exec(path)?.[1] ?? 0);
      const list = [{
        symbol: names[at],
        status: "Trading",
        priceFilter: { tickSize: "1" },
        lotSizeFilter: { qtyStep: "1" },
      }];
      return JSON.stringify({
        retCode: 0,
        result: { category: "linear", list, nextPageCursor: at < 2 ? `page%3A${at + 1}` : "" },
      });
    });
    const outcome = await run(ingest, data, "--instruments", "--venue", "bybit-linear", "--rest", venue.url);
    assert.equal(outcome.instruments, 3);
    assert.deepEqual((await saidIn(data))[0]!.instruments.map(({ symbol }) => symbol), names);
    assert.equal(venue.asked.length, 3);
  }));

Deno.test("what is no list of instruments is an outage, and changes nothing", strict, () =>
  withData(async (data) => {
    let answer = infoOf([["A", "1", "1"]]);
    await using venue = served(() => answer);
    const ask = () => run(ingest, data, "--instruments", "--rest", venue.url);
    await ask();
    for (const text of ['{"code":-1,"msg":"\u001b[31mno"}', infoOf([]), "<html>"]) {
      answer = text;
      await assert.rejects(ask, (error: Error) => {
        assert.ok(error instanceof Outage, String(error));
        assert.match(
          error.message,
          /^Cannot bring instruments of "binance" into force: it .*, must list its instruments$/,
        );
        return true;
      });
    }
    assert.equal((await saidIn(data)).length, 1);
  }));

Deno.test("a venue that lists nothing, and a capture, are misuse", strict, () =>
  withData(async (data) => {
    for (const venue of ["coinbase-advanced", "lobster", "finnhub"]) {
      await assert.rejects(() => run(ingest, data, "--instruments", "--venue", venue), Misuse);
    }
    await assert.rejects(() => run(ingest, data, "--instruments", "--from", `${data}/x.jsonl`), Misuse);
  }));

Deno.test(
  "more than can be in force is refused here, before validate would stop at it",
  strict,
  () =>
    withData(async (data) => {
      const many = (count: number, pad: number): Row[] =>
        Array.from({ length: count }, (_, i) => [`${"S".repeat(pad)}${i}`, "1", "1"]);
      let answer = infoOf(many(20_001, 1));
      await using venue = served(() => answer);
      const ask = (venueName: string) => run(ingest, data, "--instruments", "--venue", venueName, "--rest", venue.url);
      await assert.rejects(
        () => ask("binance"),
        /^Misuse: .*20001 would be, .*must be at most 20000; --symbols names some$/,
      );
      answer = infoOf(many(19_000, 1));
      await assert.rejects(
        () => ask("binance"),
        /^Misuse: .*their record has \d+ bytes, must have at most 1048576; --symbols/,
      );
      answer = infoOf(many(12_000, 1));
      await ask("binance");
      await assert.rejects(() => ask("binance-usdm"), /^Misuse: .*24000 would be, with those of other venues/);
    }),
);

/** What `bring` is given in a log, with the instruments of an answer. */
async function bringing(log: Transport, url: string, more: Partial<Bringing> = {}): Promise<Bringing> {
  return {
    ...{ symbols: null, base: url, again: false, places: await log.ranges(TOPICS.raw), shelves: [], log },
    send: (topic, partition, messages) => log.append(topic, partition, messages),
    tape: { [TOPICS.raw]: await log.topic(TOPICS.raw) },
    heard: () => {},
    micros: () => Date.now() * 1000,
    world: { ...world, trying: trying() },
    signal: never,
    ...more,
  };
}

Deno.test(
  "a run that falls between two partitions is finished by the next one, with the same words",
  strict,
  () =>
    withData(async (data) => {
      let rows: readonly Row[] = [["A", "1", "1"]];
      await using venue = served(() => infoOf(rows));
      const binance = await openVenue("binance");
      await withLog(data, async (log) => {
        await log.create(TOPICS.raw, 3);
        const fallen = new Error("the power is gone");
        for (const falls of [0, 1, 2]) {
          rows = [["A", String(falls + 1), "1", falls % 2 === 0 ? "HALT" : "TRADING"]];
          const options = await bringing(log, venue.url, {
            send: (topic, partition, messages) =>
              partition === falls ? Promise.reject(fallen) : log.append(topic, partition, messages),
          });
          await assert.rejects(() => bring(binance, options), fallen);
        }
        assert.equal((await bring(binance, await bringing(log, venue.url))).changed, 0);
      }, false);
      const said = await saidIn(data);
      assert.deepEqual(said.map(({ instruments }) => instruments[0]!.tickSize), ["1", "2", "3"]);
      assert.deepEqual(await statusesIn(data), ["A halted as listed", "A trading as listed", "A halted as listed"]);
    }),
);

Deno.test(
  "a run that is stopped while the venue is silent ends, and says nothing",
  strict,
  () =>
    withData(async (data) => {
      const stop = new AbortController();
      const end = Promise.withResolvers<void>();
      const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
        stop.abort();
        return end.promise.then(() => new Response(infoOf([["A", "1", "1"]])));
      });
      await withLog(data, async (log) => {
        await log.create(TOPICS.raw, 2);
        const url = `http://127.0.0.1:${server.addr.port}`;
        const brought = await bring(await openVenue("binance"), await bringing(log, url, { signal: stop.signal }));
        assert.deepEqual([brought.instruments, brought.changed], [0, 0]);
      }, false);
      end.resolve();
      await server.shutdown();
      assert.deepEqual(await saidIn(data), []);
    }),
);
