/** The pretended Finnhub over a real socket: it acknowledges nothing, so that what it says is waited for by its trades. */
import assert from "@std/assert";
import { Client } from "../testdata/client.ts";
import { Pretend } from "./pretend.ts";
import { openVenue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const subscribe = (symbol: string) => ({ type: "subscribe", symbol });

async function pretending(symbols: number, test: (pretend: Pretend) => Promise<void>): Promise<void> {
  const pretend = await Pretend.open({ as: "finnhub", symbols, levels: 10 });
  try {
    await test(pretend);
  } finally {
    await pretend.close();
  }
}

/** Lets the market go on until so many trades of it have been. */
function trade(pretend: Pretend, symbol: string, count: number): void {
  const last = (): number => pretend.truth.trades(symbol).length;
  for (const before = last(); last() < before + count;) pretend.step();
}

Deno.test(
  "finnhub: every trade that was asked for is said, as the venue has it",
  strict,
  () =>
    pretending(2, async (pretend) => {
      const [symbol] = pretend.symbols as [string];
      const client = await Client.to(
        `${pretend.socketUrl}/?token=t`,
        subscribe("NOBODY"),
        subscribe(symbol),
        "null",
        "{",
      );
      await pretend.heard();
      trade(pretend, symbol, 20);
      const venue = await openVenue("finnhub");
      const heard: unknown[] = [];
      while (heard.length < 20) {
        for (const tick of venue.map(await client.text(), null).ticks) {
          if (tick.type === "trade") heard.push([tick.symbol, tick.eventTime, tick.price, tick.size, tick.side]);
        }
      }
      const truth = pretend.truth.trades(symbol).slice(-20);
      assert.deepEqual(
        heard,
        truth.map(({ time, price, size }) => [symbol, Math.floor(time / 1000) * 1000, price, size, "unknown"]),
      );
      await client.close();
    }),
);

Deno.test("finnhub: without a token nobody is served", strict, () =>
  pretending(1, async (pretend) => {
    await assert.rejects(Client.to(`${pretend.socketUrl}/`), /401/);
    await assert.rejects(Client.to(`${pretend.socketUrl}/?token=`), /401/);
  }));

Deno.test(
  "finnhub: of more symbols than fifty it says that they are too many",
  strict,
  () =>
    pretending(60, async (pretend) => {
      const client = await Client.to(`${pretend.socketUrl}/?token=t`, ...pretend.symbols.slice(0, 51).map(subscribe));
      assert.equal(await client.text(), '{"msg":"Subscribing to too many symbols","type":"error"}');
      await client.close();
    }),
);
