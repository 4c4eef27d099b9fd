/** Frames that were kept are the venue's own words, and fed back they give the same ticks, byte for byte. */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import { readCapture } from "../lib/capture.ts";
import { FRAMES, readFrames } from "../lib/frames.ts";
import { VENUES } from "../lib/venue.ts";
import { looking, run, ticksIn, withData, withLog } from "../testdata/flow.ts";
import { type Capture, RECORDED, RECORDINGS, WRITTEN, written } from "../testdata/recordings.ts";
import { openTransport } from "../lib/transport.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const never = new AbortController().signal;
async function assertFedBack({ venue, path }: Capture): Promise<void> {
  await withData(async (data) => {
    const first = await run(ingest, data, "--from", path, "--venue", venue, "--symbol", "BTCUSDT", "--frames");
    const again = `${data}/again`;
    const second = await run(ingest, again, "--from", `log:${data}/log/${FRAMES}`, "--venue", venue);
    assert.deepEqual([second.lines, second.ticks, second.kinds], [first.lines, first.ticks, first.kinds], path);
    assert.deepEqual(await ticksIn(again), await ticksIn(data), path);
  });
}

Deno.test("frames that were written for the tests give the same ticks when they are fed back", strict, async () => {
  const captures = written();
  assert.ok(captures.length > VENUES.length);
  for (const capture of captures) await assertFedBack(capture);
});

if (RECORDINGS === undefined) console.log("frames: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
for (const capture of RECORDED) {
  Deno.test(
    `${capture.name} gives the same ticks of ${capture.venue} when its frames are fed back`,
    strict,
    () => assertFedBack(capture),
  );
}

Deno.test("what is kept is what came, in order, with its time and its number", strict, () =>
  withData(async (data) => {
    const path = `${WRITTEN}/binance/trades.jsonl`;
    await run(ingest, data, "--from", path, "--frames");
    const kept = await withLog(data, async (log) => {
      const all = [];
      for await (const { frames } of readFrames(log, "binance", { from: 0 }, never)) all.push(...frames);
      return all;
    });
    const came = [];
    for await (const { lines } of readCapture(path, 0, never)) came.push(...lines);
    assert.deepEqual(
      kept.map(({ number, receivedTime, frame }) => ({ number, receivedTime, frame })),
      came.map(({ number, receivedTime, frame }) => ({ number, receivedTime, frame })),
    );
    const ticks = (await ticksIn(data)) as [number, string, string][];
    for (const [, , value] of ticks) {
      const [connection, number] = JSON.parse(value).frame.split("/");
      assert.ok(kept.some((frame) => frame.connection === connection && frame.number === Number(number)), value);
    }
  }));

Deno.test("a tape of frames that has grown is read on, not again", strict, () =>
  withData(async (data) => {
    const again = `${data}/again`;
    const feed = () => run(ingest, again, "--from", `log:${data}/log/${FRAMES}`);
    await run(ingest, data, "--from", `${WRITTEN}/binance/trades.jsonl`, "--frames");
    const first = await feed();
    await run(ingest, data, "--from", `${WRITTEN}/binance/quotes.jsonl`, "--frames");
    const second = await feed();
    assert.ok(first.lines as number > 0 && second.lines as number > 0);
    assert.deepEqual((await feed()).lines, 0);
    assert.deepEqual(await ticksIn(again), await ticksIn(data));
  }));

Deno.test(
  "a frame that is too long for a message is kept in parts, and given whole",
  strict,
  () =>
    withData(async (data) => {
      // Control characters take six times their room in JSON, and half a pair is no character of its own.
      const long = JSON.stringify({ e: "kline", pad: "😀\u0001".repeat(200_000) });
      await Deno.writeTextFile(`${data}/long.jsonl`, `${long}\n{"e":"kline"}\n`);
      await run(ingest, data, "--from", `${data}/long.jsonl`, "--frames");
      const kept = await withLog(data, async (log) => {
        const all = [];
        for await (const { frames } of readFrames(log, "binance", { from: 0 }, never)) all.push(...frames);
        return all;
      });
      assert.deepEqual(kept.map(({ frame }) => frame), [long, '{"e":"kline"}']);
    }),
);

Deno.test("what is no tape of frames is refused by name", strict, () =>
  withData(async (data) => {
    await assert.rejects(
      () => run(ingest, data, "--from", `log:${data}/log/ticks.raw`),
      /Cannot read frames ".*": names topic "ticks\.raw", must be log:FOLDER\/frames/,
    );
    await run(ingest, data, "--from", `${WRITTEN}/binance/trades.jsonl`, "--frames");
    const log = await openTransport(`log:${data}/log`, { ...looking, isLooking: undefined! });
    await log.append(FRAMES, 0, [{ key: "binance", value: '{"no":"frame"}' }]);
    await log.append(FRAMES, 1, [{ key: "binance", value: '{"no":"frame"}' }]);
    await log.close();
    await assert.rejects(
      () => run(ingest, `${data}/again`, "--from", `log:${data}/log/${FRAMES}`),
      /Cannot read frame "frames\/\d\/\d+": is no frame, must be as it was kept/,
    );
  }));
