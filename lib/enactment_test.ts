/** A rules file in force: said once in every partition wherever it fell, durable before it is said to be, and of one log. */
import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { enact, enacted, recordOf, rulesIn } from "./enactment.ts";
import { Outage, Refusal } from "./failure.ts";
import { RULES } from "./rule.ts";
import { LIMITS } from "./rule/limits.ts";
import { ENTRIES_MAX, type Entry } from "./rule/policy.ts";
import type { Tape } from "./tape.ts";
import { MESSAGE_BYTES_MAX, openTransport, TOPICS, type Transport } from "./transport.ts";
import type { World } from "./world.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const world: World = { now: () => 5, env: () => undefined, report: () => {}, retryForMs: 0 };
const PARTITIONS = 3;
const FIRST: readonly Entry[] = [{ severity: { old: "quarantine" } }], SECOND: readonly Entry[] = [{ venue: "sim" }];
let logs = 0;

async function logOf(): Promise<Transport> {
  const log = await openTransport(`memory:enactment-${logs++}`, world);
  await log.create(TOPICS.raw, PARTITIONS);
  return log;
}

/** Brings rules into force; `ask` hears of each deed before and after it. */
async function say(log: Transport, rules: readonly Entry[], ask: (word: string) => void = () => {}, tape: Tape = {}) {
  const heard = <Given extends unknown[], Found>(name: string, act: (...given: Given) => Promise<Found>) => {
    return async (...given: Given): Promise<Found> => {
      ask(`before ${name}`);
      const found = await act(...given);
      ask(`after ${name}`);
      return found;
    };
  };
  return await enact(rules, {
    tape,
    places: await log.ranges(TOPICS.raw),
    log: {
      read: log.read.bind(log),
      claim: heard("claim", log.claim.bind(log)),
      save: heard("save", log.save.bind(log)),
      sync: heard("sync", log.sync.bind(log)),
    },
    send: heard("append", (partition: number, messages) => log.append(TOPICS.raw, partition, messages)),
  });
}

/** What each partition holds. */
async function saidIn(log: Transport): Promise<string[][]> {
  return await Promise.all((await log.ranges(TOPICS.raw)).map(async ({ low, high }, partition) => {
    const said: string[] = [];
    for await (const records of log.read(TOPICS.raw, partition, low, high)) {
      said.push(...records.map(({ value }) => String(value)));
    }
    return said;
  }));
}
const everywhere = (...said: readonly (readonly Entry[])[]): string[][] =>
  Array.from({ length: PARTITIONS }, () => said.map(recordOf));

Deno.test("wherever it falls, every partition says each file once and in the same order", strict, async () => {
  for (const then of [FIRST, SECOND]) {
    let steps = 0;
    for (let at = 1, fell = true; fell; at++) {
      const log = await logOf();
      fell = false;
      let step = 0;
      await say(log, FIRST, (word) => {
        if (++step !== at) return;
        fell = true;
        throw new Outage(`it fell ${word}`);
      }).catch((error) => assert.ok(error instanceof Outage, error));
      const { rules } = await say(log, then);
      assert.deepEqual(rules, then);
      const said = await saidIn(log);
      // Who fell before it was kept has said nothing of the first file.
      const wanted = then === FIRST || said[0]!.length === 1 ? everywhere(then) : everywhere(FIRST, SECOND);
      assert.deepEqual(said, wanted, `step ${at}`);
      const { at: places } = (await enacted(log))!;
      assert.deepEqual(places, said.map(({ length }) => length - 1), `step ${at}`);
      steps = Math.max(steps, at);
    }
    assert.ok(steps > 12, `${steps} steps were tried`);
  }
});

Deno.test("rules are in force once every partition is synced", strict, async () => {
  const words: string[] = [];
  await say(await logOf(), FIRST, (word) => void words.push(word));
  const done = words.filter((word) => word !== "before append" && word !== "before sync");
  assert.deepEqual(done, [
    ...["before claim", "after claim", "before save", "after save"],
    ...[...new Array(PARTITIONS).fill("after append"), ...new Array(PARTITIONS).fill("after sync")],
    ...["before save", "after save"],
  ]);
});

Deno.test("rules that were said to a log are not gone on with in another", strict, async () => {
  const log = await logOf();
  const tape = (identity: string): Tape => ({ [TOPICS.raw]: { identity, partitions: PARTITIONS } });
  await say(log, FIRST, () => {}, tape("one"));
  await assert.rejects(say(log, SECOND, () => {}, tape("other")), Refusal);
  assert.deepEqual(await saidIn(log), everywhere(FIRST));
  await say(log, SECOND, () => {}, tape("one"));
});

Deno.test("the largest file that a schema allows is one message", () => {
  const severity = Object.fromEntries(
    RULES.filter(({ name }) => name !== "malformed" && name !== "shape").map(({ name }) => {
      return [name, name === "gap" || name === "reset" ? "flag" : "quarantine"];
    }),
  );
  const limits = { ...LIMITS, futureMsMax: 86_400_000, lateMsMax: 86_400_000, oldMsMax: 2_592_000_000 };
  const entry = { venue: "v".repeat(32), symbol: "\u{20000}".repeat(64), type: "status", severity, limits };
  const text = JSON.stringify({ rules: new Array(ENTRIES_MAX).fill({ ...entry, calendar: "us-equities" }) });
  const rules = rulesIn("rules.json", text);
  assert.equal(rules.length, ENTRIES_MAX);
  assert.ok(Buffer.byteLength(recordOf(rules)) < MESSAGE_BYTES_MAX);
});
