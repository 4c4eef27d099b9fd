/** What became of what runs sent: each message counts once and for its own run, and what nobody can tell is not guessed. */
import assert from "@std/assert";
import { type Letter, type Letters } from "./letter.ts";
import { aftermathOf, sentOf } from "./redrive/aftermath.ts";
import { History, type Run } from "./redrive/history.ts";
import { type Message, openTransport, TOPICS, type Transport } from "./transport.ts";

const world = { now: () => 5, env: () => undefined, report: () => {}, retryForMs: 0 };
const wanted = { reason: null, venue: null, symbol: null, severity: null, since: null, replaysMax: 5 };

const letterOf = (origin: number, replays: number): Letter => ({
  ...{ partition: 0, origin, key: "sim:A", reason: "grid", reasons: ["grid"], severity: "reject", rules: "4", replays },
  ...{ standing: "none", raw: "{}", rawBase64: null },
});
const letter = (origin: number, replays: number): Message => ({
  key: "sim:A",
  value: JSON.stringify({ topic: TOPICS.raw, previous: -1, ...letterOf(origin, replays) }),
});
const sound = (origin: number): Message => ({
  key: "sim:A",
  value: JSON.stringify({
    ...{ type: "trade", venue: "sim", symbol: "A", eventTime: 1_763_690_000_000_000, sequence: origin, id: null },
    ...{ receivedTime: 1_763_690_000_000_000, price: "1", size: "1", side: "buy", origin, previous: -1 },
  }),
});

/** Two runs: the first sent letters 1 to 3 to offsets 0, 2 and 3, the second letters 4 and 5 to 5 and 6. Others lie between. */
async function told(name: string): Promise<{ log: Transport; runs: Run[] }> {
  const log = await openTransport(`memory:aftermath-${name}`, world);
  for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
  const ids = ["redrive-1", "", "redrive-1", "redrive-1", "", "redrive-2", "redrive-2"];
  let number = 0;
  await log.append(
    ...[TOPICS.raw, 0] as const,
    ids.map((id) => ({ key: "sim:A", value: "{}", ...(id && { producer: { id, epoch: 1, number: ++number } }) })),
  );
  const history = new History(null);
  const common = { at: 5, wanted, store: "hot" } as const;
  const first = { ...common, id: "redrive-1", from: [0], next: [4], sentIn: [3], rejectedFrom: [0] };
  const second = { ...common, id: "redrive-2", from: [5], next: [7], sentIn: [2], rejectedFrom: [1] };
  const runs = [first, second].map((run) =>
    Object.assign(history.begin({ ...run, upTo: [6] }), { sent: run.sentIn[0] })
  );
  return { log, runs };
}
const numbersOf = async ({ log, runs }: { log: Transport; runs: Run[] }, stored: Letters | null = null, low = 0) => {
  const ranges = async (topic: string) =>
    (await log.ranges(topic)).map((range) => topic === TOPICS.rejected ? { ...range, low } : range);
  return (await aftermathOf(runs, { log, ranges, stored })).map((of) => [of.accepted, of.rejected, of.unjudged]);
};

Deno.test("what a run sent was let pass, rejected again, or is not judged yet", async () => {
  const tape = await told("all");
  assert.deepEqual(await numbersOf(tape), [[0, 0, 3], [0, 0, 2]]);
  await tape.log.append(TOPICS.rejected, 0, [letter(0, 1), letter(1, 0)]);
  assert.deepEqual(await numbersOf(tape), [[0, 1, 2], [0, 0, 2]], "one came live between them");
  await tape.log.append(TOPICS.valid, 0, [sound(2)]);
  assert.deepEqual(await numbersOf(tape), [[1, 1, 1], [0, 0, 2]]);
  await tape.log.append(TOPICS.rejected, 0, [letter(0, 1), letter(1, 0), letter(3, 1), letter(5, 2)]);
  assert.deepEqual(await numbersOf(tape), [[1, 2, 0], [0, 1, 1]], "a judge that fell says some of it again");
  await tape.log.append(TOPICS.valid, 0, [sound(6)]);
  assert.deepEqual(await numbersOf(tape), [[1, 2, 0], [1, 1, 0]]);
});

Deno.test("what has expired is asked of the store, and is not guessed without one", async () => {
  const tape = await told("expired");
  await tape.log.append(TOPICS.rejected, 0, [letter(0, 1), letter(3, 1), letter(5, 1)]);
  await tape.log.append(TOPICS.valid, 0, [sound(6)]);
  assert.deepEqual(await numbersOf(tape, null, 1), [[null, null, 0], [1, 1, 0]]);
  const stored: Letters = {
    store: "hot",
    async *read(_, from, to) {
      yield [letterOf(0, 1), letterOf(1, 0), letterOf(3, 1), letterOf(5, 1)].filter(({ origin }) =>
        origin >= from && origin < to
      );
    },
  };
  assert.deepEqual(await numbersOf(tape, stored, 1), [[1, 2, 0], [1, 1, 0]]);
});

Deno.test("which letters were sent is what the log has of each run, and what it has lost is counted", async () => {
  const { log, runs } = await told("sent");
  const all = await sentOf(runs, log, await log.ranges(TOPICS.raw));
  assert.deepEqual([[...all.places], all.lost], [[1, 2, 3, 4, 5].map((n) => `ticks.raw/0/${n}`), 0]);
  const some = await sentOf(runs, log, [{ low: 3, high: 7 }]);
  assert.deepEqual([[...some.places], some.lost], [[3, 4, 5].map((n) => `ticks.raw/0/${n}`), 2]);
});
