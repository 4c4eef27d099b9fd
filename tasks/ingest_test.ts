/** What `ingest` remembers of a capture, and what it says of one that it cannot make anything of. */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import { contentHash } from "../lib/capture.ts";
import { FRAMES } from "../lib/frames.ts";
import { openTransport } from "../lib/transport.ts";
import { looking, run, withData, withLog } from "../testdata/flow.ts";
import { WRITTEN } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const TRADES = `${WRITTEN}/binance/trades.jsonl`;
/** The position of a source, as the log keeps it. */
interface Kept {
  readonly position: number;
  readonly numbers: readonly number[];
}

Deno.test(
  "a capture of another venue is a finding, and is read once its own is named",
  strict,
  () =>
    withData(async (data) => {
      const strange = await run(ingest, data, "--from", TRADES, "--venue", "kraken");
      assert.equal(strange.ticks, 0);
      assert.deepEqual(strange.findings, [{
        finding: "nothing understood",
        place: TRADES,
        detail: "no line of it is one of kraken, must be read with --venue of who said it",
      }]);
      assert.match(String(strange.text), /\nnothing understood: .*trades\.jsonl: no line of it is one of kraken, must/);
      const own = await run(ingest, data, "--from", TRADES, "--venue", "binance");
      assert.ok(own.ticks as number > 0);
      assert.equal(own.findings, undefined);
      assert.equal((await run(ingest, data, "--from", TRADES, "--venue", "binance")).lines, 0);
    }),
);

Deno.test(
  "what an earlier version knew by its content alone is not read again, if it gave a tick",
  strict,
  () =>
    withData(async (data) => {
      const { ticks } = await run(ingest, data, "--from", TRADES);
      await withSources(data, async ([kept]) => ({ [await contentHash(TRADES)]: kept! }));
      assert.equal((await run(ingest, data, "--from", TRADES)).lines, 0);
      await withSources(data, async ([kept]) => ({
        [await contentHash(TRADES)]: { ...kept!, numbers: kept!.numbers.map(() => 0) },
      }));
      assert.equal((await run(ingest, data, "--from", TRADES)).ticks, ticks);
    }),
);

Deno.test(
  "a tape of frames that holds none of the venue says whose it holds, and reads them then",
  strict,
  () =>
    withData(async (data) => {
      const again = `${data}/again`, tape = `log:${data}/log/${FRAMES}`;
      const feed = (venue: string) => run(ingest, again, "--from", tape, "--venue", venue);
      const none = (wanted: string): RegExp =>
        new RegExp(`^Misuse: Cannot read frames "log:.*" of "kraken": none are kept there, must be --venue ${wanted}$`);
      await run(ingest, data, "--from", TRADES, "--frames");
      await run(ingest, data, "--from", `${WRITTEN}/bybit/trades.jsonl`, "--venue", "bybit", "--frames");
      await assert.rejects(() => feed("kraken"), none("binance or bybit"));
      assert.ok((await feed("bybit")).lines as number > 0);
      assert.equal((await feed("bybit")).lines, 0);
      await run(ingest, data, "--from", `${WRITTEN}/kraken/trades.jsonl`, "--venue", "kraken", "--frames");
      assert.ok((await feed("kraken")).lines as number > 0);
    }),
);

/** Exchanges what the log remembers of sources. */
async function withSources(data: string, change: (kept: Kept[]) => Promise<Record<string, Kept>>): Promise<void> {
  const { state } = await withLog(data, async (log) => (await log.load("ingest", 0))!);
  const log = await openTransport(`log:${data}/log`, { ...looking, isLooking: undefined! });
  const { epoch, checkpoint } = await log.claim("ingest", 0);
  const sources = await change(Object.values(JSON.parse(state)));
  await log.save("ingest", 0, { epoch, nextOffset: checkpoint!.nextOffset + 1, state: JSON.stringify(sources) });
  await log.close();
}
