/** What came back of a run: its own messages, each once, and none of those that were rejected beside them. */
import assert from "@std/assert";
import { Echo } from "./redrive/echo.ts";
import { History } from "./redrive/history.ts";
import { type Message, openTransport, TOPICS } from "./transport.ts";

const world = { now: () => 5, env: () => undefined, report: () => {}, retryForMs: 0 };

/** A message of `ticks.rejected`. */
const letter = (origin: number, replays: number): Message => ({
  key: "sim:A",
  value: JSON.stringify({
    ...{ topic: TOPICS.raw, partition: 0, origin, previous: -1, key: "sim:A", reason: "grid", reasons: ["grid"] },
    ...{ severity: "reject", rules: "4", replays, standing: "none", raw: "{}", rawBase64: null },
  }),
});

Deno.test("a message that is rejected again returns once, and only if it is of the run", async () => {
  const log = await openTransport("memory:echo", world);
  for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
  const run = new History(null).begin({
    ...{ id: "redrive-2", at: 5, store: "hot", upTo: [0], from: [10], next: [10], sentIn: [0], rejectedFrom: [0] },
    wanted: { reason: null, venue: null, symbol: null, severity: null, since: null, replaysMax: 5 },
  });
  const echo = new Echo(run, log, (topic) => log.ranges(topic));
  const send = (first: number, next: number): void => {
    echo.sent(0, first, next);
    run.sentIn[0]! += next - first;
    run.next[0] = next;
  };
  const seen = async (...letters: readonly Message[]): Promise<readonly number[]> => {
    await log.append(TOPICS.rejected, 0, letters);
    await echo.look();
    return [echo.returned, echo.judged];
  };
  send(10, 13);
  send(14, 15);
  assert.deepEqual(await seen(letter(8, 1)), [0, 0], "an earlier run's");
  assert.deepEqual(await seen(letter(10, 1), letter(11, 1)), [2, 2]);
  assert.deepEqual(await seen(letter(10, 1), letter(11, 1)), [2, 2], "said again by a judge that fell");
  assert.deepEqual(await seen(letter(13, 0)), [2, 3], "what came live between them");
  assert.deepEqual(await seen(letter(14, 2), letter(15, 1)), [3, 4], "and another's behind them");
});
