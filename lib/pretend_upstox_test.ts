/**
 * Upstox as it is pretended, over real sockets: an address for one connection, bytes both ways, and frames that its own
 * mapper reads as what the venue knows.
 */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import { Client } from "../testdata/client.ts";
import { Conflation } from "./conflation.ts";
import { add } from "./decimal.ts";
import { Pretend, type PretendOptions } from "./pretend.ts";
import type { Trade } from "./tick.ts";
import { type Channel, CHANNELS, type Mapped, openVenue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const venue = await openVenue("upstox");
const live = venue.live!;
const PATH = live.authorize!.path;
const NOW = 1_795_000_000_000_000;
const SYMBOL = "NSE_EQ|BTC";

async function pretending(
  test: (pretend: Pretend) => Promise<void>,
  { now }: Pick<PretendOptions, "now"> = {},
): Promise<void> {
  const pretend = await Pretend.open({ as: "upstox", symbols: 1, levels: 60, ...now === undefined ? {} : { now } });
  try {
    await test(pretend);
  } finally {
    await pretend.close();
  }
}

/** What is answered to who asks for the address. */
async function asked(pretend: Pretend, token?: string): Promise<{ readonly status: number; readonly body: string }> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(pretend.restUrl + PATH, { headers });
  return { status: response.status, body: await response.text() };
}

/** A new address, at the one who pretends. */
async function addressOf(pretend: Pretend): Promise<string> {
  const { pathname, search } = new URL(live.authorize!.address((await asked(pretend, "t")).body)!);
  return pretend.socketUrl + pathname + search;
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const sub = (channels: readonly Channel[], symbol = SYMBOL) =>
  live.subscribe({ symbols: [symbol], channels }, 1).map(bytes);

/** All frames that came so far, mapped. */
async function soFar(pretend: Pretend, client: Client): Promise<Mapped[]> {
  await pretend.heard();
  return (await client.texts(client.left)).map((frame) => venue.map(frame, NOW));
}

const steps = (pretend: Pretend, count: number): void => {
  for (let i = 0; i < count; i++) pretend.step();
};

Deno.test(
  "who brings no token is not told the address, and a code opens one connection",
  strict,
  () =>
    pretending(async (pretend) => {
      assert.equal((await asked(pretend)).status, 401);
      assert.equal((await asked(pretend, "")).status, 401);
      const address = await addressOf(pretend);
      await assert.rejects(Client.to(pretend.socketUrl + new URL(address).pathname), /401/);
      const client = await Client.to(address);
      await assert.rejects(Client.to(address), /401/);
      assert.notEqual(await addressOf(pretend), address);
      await client.close();
    }),
);

Deno.test(
  "the segments come first, then a snapshot of whoever there is; a text is passed over in silence",
  strict,
  () =>
    pretending(async (pretend) => {
      const client = await Client.to(await addressOf(pretend));
      const first = await client.text();
      assert.ok(live.isBeat!(first));
      assert.equal(venue.map(first, NOW).kind, "marketInfo");
      const [message] = live.subscribe({ symbols: [SYMBOL, "NSE_EQ|NOBODY"], channels: CHANNELS }, 1);
      client.say(message);
      steps(pretend, 20);
      assert.deepEqual(await soFar(pretend, client), []);
      client.say(bytes(message!));
      const snapshot = await client.text();
      assert.deepEqual(live.answer(snapshot), { refused: null, symbols: [SYMBOL] });
      const { bids, asks, time } = pretend.truth.books(SYMBOL).at(-1)!;
      const rows = (side: typeof bids) => side.slice(0, 5).map(({ price, size }) => [price, size]);
      const book = venue.map(snapshot, NOW).ticks.find(({ type }) => type === "book");
      assert.deepEqual(book?.type === "book" && [book.bids, book.asks], [rows(bids), rows(asks)]);
      assert.ok(book!.eventTime >= Math.floor(time / 1_000) * 1_000);
      for (const message of live.unsubscribe({ symbols: [SYMBOL], channels: CHANNELS }, 2)) client.say(bytes(message));
      for (const strange of ["{", "null", '{"method":"sub","data":{"mode":"x"}}', '{"method":{},"data":[]}']) {
        client.say(bytes(strange));
      }
      await pretend.heard();
      steps(pretend, 20);
      assert.deepEqual(await soFar(pretend, client), []);
      await client.close();
    }),
);

/** A clock of which each step of the market is a ms later, so that the time of a trade names it. */
function ticking(from: number) {
  let time = from;
  return {
    now: (): number => time,
    steps(pretend: Pretend, count: number): void {
      for (let i = 0; i < count; i++) {
        time += 1_000;
        pretend.step();
      }
    },
  };
}

/** What was traded up to each trade since `from`, by its time. */
function totals(pretend: Pretend, from = 0): Map<number, string> {
  let total = "0";
  const since = pretend.truth.trades(SYMBOL).filter(({ time }) => time >= from);
  return new Map(since.map(({ time, size }) => [time, total = add(total, size)]));
}

for (const [channels, types] of [[["trade", "quote"], ["quote"]], [CHANNELS, ["book", "quote"]]] as const) {
  Deno.test(`asked for ${channels.join()}, it tells all that is traded and every best price`, strict, () => {
    const clock = ticking(NOW);
    return pretending(async (pretend) => {
      const client = await Client.to(await addressOf(pretend), ...sub(channels));
      await client.texts(2);
      clock.steps(pretend, 400);
      const mapped = await soFar(pretend, client);
      assert.deepEqual([...new Set(mapped.map(({ kind }) => kind))], ["liveFeed"]);
      const volumes = mapped.flatMap(({ volumes }) => volumes ?? []);
      const truth = totals(pretend);
      for (const { total, tradedAt } of volumes) assert.equal(total, truth.get(tradedAt));
      const trades: Trade[] = new Conflation("upstox").trades(volumes);
      // Not each is told, and some say what two have traded.
      assert.ok(trades.length > 20 && trades.length < truth.size - 1, `${trades.length} of ${truth.size}`);
      assert.equal(trades.map(({ size }) => size).reduce(add, volumes[0]!.total), volumes.at(-1)!.total);
      const ticks = mapped.flatMap(({ ticks }) => ticks);
      assert.deepEqual([...new Set(ticks.map(({ type }) => type))].sort(), types);
      const tops = new Map(pretend.truth.books(SYMBOL).map(({ bids: [bid], asks: [ask], time }) => [time, [bid, ask]]));
      for (const tick of ticks) {
        if (tick.type !== "quote") continue;
        const [bid, ask] = tops.get(tick.eventTime)!;
        const best = [bid!.price, bid!.size, ask!.price, ask!.size];
        assert.deepEqual([tick.bidPrice, tick.bidSize, tick.askPrice, tick.askSize], best);
      }
      await client.close();
    }, clock);
  });
}

Deno.test("the volume begins anew with the day in India", strict, () => {
  const midnight = Date.UTC(2026, 10, 20, 18, 30) * 1_000;
  const clock = ticking(midnight - 200_000);
  return pretending(async (pretend) => {
    const client = await Client.to(await addressOf(pretend), ...sub(CHANNELS));
    await client.texts(2);
    clock.steps(pretend, 400);
    const volumes = (await soFar(pretend, client)).flatMap(({ volumes }) => volumes ?? []);
    const [before, after] = [totals(pretend), totals(pretend, midnight)];
    for (const { total, tradedAt } of volumes) {
      assert.equal(total, (tradedAt < midnight ? before : after).get(tradedAt));
    }
    assert.equal(volumes.at(-1)!.session, volumes[0]!.session + 1);
    await client.close();
  }, clock);
});

Deno.test(
  "what was recorded is played behind the same door, bytes as bytes and JSON as it is",
  strict,
  () =>
    pretending(async (pretend) => {
      pretend.play("CAIY0JWZ/fMx");
      const client = await Client.to(await addressOf(pretend));
      await pretend.joined;
      pretend.play("CAIY0JWZ/fMx");
      pretend.play('{"type":"market_info"}');
      assert.deepEqual(await client.texts(2), ["CAIY0JWZ/fMx", '{"type":"market_info"}']);
      await client.close();
    }),
);

Deno.test(
  "429, a page for people and a ban are answered to who asks for an address, as planned",
  strict,
  () =>
    pretending(async (pretend) => {
      for (const [fault, status] of [["tooMany", 429], ["html", 502], ["banned", 418]] as const) {
        pretend.plant({ fault, at: "request" });
        assert.equal((await asked(pretend, "t")).status, status);
      }
      assert.equal((await asked(pretend, "t")).status, 200);
    }),
);

Deno.test(
  "who ingests it may reach the two hosts that it needs, or those that stand in their place",
  strict,
  async () => {
    const reach = (values: object) => ingest.reach!({ venue: "upstox", ...values } as never);
    assert.deepEqual(await reach({}), {
      hosts: ["wsfeeder-api.upstox.com:443", "api.upstox.com:443"],
      secrets: ["UPSTOX_TOKEN"],
    });
    const { hosts } = await reach({ base: "ws://127.0.0.1:9443", rest: "http://127.0.0.1:9443" });
    assert.deepEqual(hosts, ["127.0.0.1:9443", "127.0.0.1:9443"]);
  },
);
