/**
 * A `redrive` that falls at each of its steps, is overtaken, is told to stop or gets too much back: each letter is sent
 * once all the same, by whoever goes on.
 */
import assert from "@std/assert";
import redrive from "../cmd/redrive.ts";
import validate from "../cmd/validate.ts";
import { Outage, Refusal } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { type Outcome, perform } from "../lib/stage.ts";
import { TOPICS, type Transport } from "../lib/transport.ts";
import { listeners, run, settingOf } from "../testdata/flow.ts";
import { countsOf, judged, mend, redriven, settled, soundIn, trade } from "../testdata/redriven.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const never = new AbortController().signal;
const atOnce = AbortSignal.abort();

type Deed = "claim" | "save" | "append" | "sync";
const DEEDS: readonly string[] = ["claim", "save", "append", "sync"] satisfies Deed[];

/** Openers of a log that is asked before and after each of its deeds. */
function openersOf(log: Transport, ask: (deed: Deed, when: "before" | "after") => Promise<void> | void) {
  const door = new Proxy(log, {
    get(door, name: keyof Transport) {
      const deed = door[name];
      if (typeof deed !== "function") return deed;
      if (name === "close") return () => Promise.resolve();
      const act = (deed as (...args: unknown[]) => Promise<unknown>).bind(door);
      if (!DEEDS.includes(name)) return act;
      return async (...args: unknown[]) => {
        await ask(name as Deed, "before");
        const result = await act(...args);
        await ask(name as Deed, "after");
        return result;
      };
    },
  });
  return { transport: () => Promise.resolve(door), hot: openHot, lake: openLake };
}

function redriving(
  data: string,
  log: Transport,
  ask: (deed: Deed, when: "before" | "after") => Promise<void> | void,
  signal = never,
  ...args: string[]
): Promise<Outcome> {
  return perform(redrive, settingOf(redrive, data, args), () => {}, signal, atOnce, openersOf(log, ask));
}

const LETTERS = [620, 30] as const;
/** More letters than one append holds, of which some stay unsound. */
async function mended(): Promise<{ data: string; log: Transport }> {
  const tape = await judged(
    ...LETTERS.map((count, partition) =>
      Array.from({ length: count }, (_, i) => trade(i + 1, { symbol: "AB"[partition], price: i % 7 === 0 ? "0" : "5" }))
    ),
  );
  await mend(tape.log);
  return tape;
}
const wantedOf = (): string[] =>
  LETTERS.flatMap((count, partition) => Array.from({ length: count }, (_, i) => `ticks.raw/${partition}/${i + 1} 1`));

Deno.test("wherever it falls, before a step or after it, each letter is sent once", strict, async () => {
  let steps = 0;
  for (const when of ["before", "after"] as const) {
    for (let at = 1, fell = true; fell; at++) {
      const { data, log } = await mended();
      fell = false;
      let step = 0;
      await redriving(data, log, (deed, now) => {
        if (now !== when || ++step !== at) return;
        fell = true;
        throw new Outage(`it fell ${when} ${deed}`);
      }).catch((error) => assert.ok(error instanceof Outage, error));
      // The judge and the sink may have worked meanwhile.
      if (at % 2 === 0) await settled(data);
      await run(redrive, data);
      // What was rejected again meanwhile is another letter.
      const first = (await redriven(log)).filter((line) => line.endsWith(" 1"));
      assert.deepEqual(first, wantedOf(), `${when} step ${at}`);
      await settled(data);
      const again = (await run(redrive, data, "--reason", "grid", "--circuit", "off")).redriven;
      assert.deepEqual([again, (await soundIn(log)).size], [0, 556], `${when} step ${at}`);
      steps = Math.max(steps, at);
    }
  }
  assert.ok(steps > 8, `${steps} steps were tried`);
});

Deno.test("one that falls again and again comes to its end", strict, async () => {
  const { data, log } = await mended();
  for (let at = 2, falls = 0; falls < 12; falls++, at = at % 7 + 1) {
    let step = 0;
    await redriving(data, log, (_deed, when) => {
      if (when === "after" && ++step === at) throw new Outage("it fell");
    }).catch((error) => assert.ok(error instanceof Outage, error));
  }
  await run(redrive, data);
  assert.deepEqual(await redriven(log), wantedOf());
});

Deno.test("one that was overtaken is refused before it sends what the other one sends", strict, async () => {
  const { data, log } = await mended();
  let appends = 0;
  const overtaken = redriving(data, log, async (deed, when) => {
    if (deed === "append" && when === "after" && ++appends === 1) await run(redrive, data);
  });
  await assert.rejects(overtaken, Refusal);
  assert.deepEqual((await redriven(log)).toSorted(), wantedOf().toSorted());
});

Deno.test("what others append behind one that fell is none of its messages", strict, async () => {
  const { data, log } = await mended();
  const fallen = redriving(data, log, (deed, when) => {
    if (deed === "append" && when === "after") throw new Outage("it fell");
  });
  await assert.rejects(fallen, Outage);
  const other = { id: "sim", epoch: 1, number: 600 };
  await log.append(TOPICS.raw, 0, [{ ...trade(900), producer: other }, trade(901)]);
  await run(redrive, data);
  assert.deepEqual(await redriven(log), wantedOf());
});

Deno.test("what was sent is durable before it is said to be", strict, async () => {
  const { data, log } = await mended();
  const deeds: Deed[] = [];
  await redriving(data, log, (deed, when) => void (when === "after" && deeds.push(deed)));
  const sent = deeds.flatMap((deed, i) => deed === "append" ? [deeds[i + 1]] : []);
  assert.deepEqual(sent, ["sync", "sync", "sync"]);
});

Deno.test("a state of another tape, or of a newer Tapedeck, is not gone on with", strict, async () => {
  for (
    const [change, message] of [
      [{ tape: { [TOPICS.raw]: { identity: "another", partitions: LETTERS.length } } }, /^Cannot redrive: /],
      [
        { format: 2 },
        /^Cannot open state of redrive: its format is 2, must be at most 1 \(a newer Tapedeck wrote it\)$/,
      ],
    ] as const
  ) {
    const { data, log } = await mended();
    await run(redrive, data, "--symbol", "B");
    const { epoch, checkpoint } = await log.claim("redrive", 0);
    const state = JSON.stringify({ ...JSON.parse(checkpoint!.state), ...change });
    await log.save("redrive", 0, { epoch, nextOffset: 100, state });
    await assert.rejects(
      run(redrive, data),
      (error: unknown) => error instanceof Refusal && message.test(error.message),
    );
    assert.equal((await redriven(log)).length, LETTERS[1]);
  }
});

Deno.test("one that is told to stop has sent what it says, and is gone on with", strict, async () => {
  const { data, log } = await mended();
  const stop = new AbortController();
  const outcome = await redriving(data, log, (deed) => deed === "append" ? stop.abort() : undefined, stop.signal);
  assert.deepEqual([outcome.redriven, (await redriven(log)).length], [500, 500]);
  await run(redrive, data);
  assert.deepEqual(await redriven(log), wantedOf());
  const { runs } = await run(redrive, data, "history") as unknown as { runs: { state: string; sent: number }[] };
  assert.deepEqual(runs.map(({ state, sent }) => [state, sent]), [["stopped", 500], ["done", 150]]);
});

Deno.test("where nobody judges it stops with so many sent, and goes on when they are judged", strict, async () => {
  const { data, log } = await mended();
  await assert.rejects(run(redrive, data, "--ahead-max", "100"), (error: unknown) => {
    assert.match(
      error instanceof Outage ? error.message : `${error}`,
      /^Cannot redrive on: 500 messages are sent and nob/,
    );
    return true;
  });
  assert.equal((await redriven(log)).length, 500);
  await settled(data);
  assert.deepEqual(countsOf(await run(redrive, data, "--ahead-max", "700")), { redriven: 222, letters: 222 });
});

/** What a stage said of its circuit last. */
async function circuitOf(data: string, act: () => Promise<unknown>): Promise<number | undefined> {
  let open: number | undefined;
  listeners.set(data, (word) => {
    if (word.word !== "progress") return;
    for (const { name, level } of word.delta.levels) if (name === "circuit_open") open = level;
  });
  await act().catch((error) => assert.ok(error instanceof Refusal, error));
  listeners.delete(data);
  return open;
}

const tradesOf = (count: number, price: string) => Array.from({ length: count }, (_, i) => trade(i + 1, { price }));

Deno.test("too much that is rejected again opens the circuit, also between two runs", strict, async () => {
  const { data, log } = await judged(tradesOf(120, "5"), []);
  assert.equal((await run(redrive, data)).redriven, 120);
  await settled(data);
  let outcome: Outcome = {};
  const open = await circuitOf(data, async () => outcome = await run(redrive, data));
  assert.deepEqual([open, outcome.findings?.length, (await redriven(log)).length], [1, 1, 120]);
  assert.match(
    String(outcome.text),
    /^the circuit is open: 100 % of what redrive-1 sent was rejected again, 120 sent: /,
  );
  // It stays open until somebody says so.
  assert.equal((await run(redrive, data, "--reject-share-max", "0.9")).findings?.length, 1);
  assert.equal((await redriven(log)).length, 120);
  await mend(log);
  assert.equal(await circuitOf(data, async () => outcome = await run(redrive, data, "--circuit", "off")), 0);
  assert.equal(outcome.redriven, 120);
  await settled(data);
  assert.equal((await soundIn(log)).size, 120);
});

Deno.test("a flood that comes back while it sends is cut off", strict, async () => {
  const { data, log } = await judged(tradesOf(2_000, "5"), []);
  const outcome = await redriving(data, log, async (deed, when) => {
    if (deed === "append" && when === "after") await run(validate, data);
  });
  assert.deepEqual([outcome.redriven, outcome.findings?.length], [500, 1]);
  assert.equal((await redriven(log)).length, 500);
});

Deno.test("few that come back are no flood", strict, async () => {
  const { data } = await judged(tradesOf(99, "5"), []);
  for (let replay = 1; replay < 4; replay++) {
    assert.equal((await run(redrive, data)).redriven, 99);
    await settled(data);
  }
});

Deno.test(
  "validate stops in a flood, says which, and goes on when it is told to, with the same verdicts",
  strict,
  async () => {
    const { data, log } = await judged([], []);
    const flood = [...tradesOf(300, "20"), ...tradesOf(900, "5").map((_, i) => trade(301 + i))];
    await log.append(TOPICS.raw, 1, flood);
    await log.append(TOPICS.raw, 0, tradesOf(200, "5"));
    const small = ["--reject-window", "400"];
    const says =
      /^Cannot judge on in "ticks.raw\/1": 400 of the last 400 messages were rejected \(grid 400\), must be looked/;
    const refused = async (...args: string[]) => {
      await assert.rejects(run(validate, data, ...small, ...args), (error: unknown) => {
        assert.match(error instanceof Refusal ? error.message : `${error}`, says);
        return true;
      });
    };
    const stand = async () => (await log.load("validate", 1))?.nextOffset;
    assert.equal(await circuitOf(data, () => run(validate, data, ...small)), 1);
    const stood = await stand();
    await refused();
    await refused("--reject-share-max", "0.7");
    assert.equal(await stand(), stood);
    await run(validate, data, ...small, "--reject-share-max", "1");
    await run(validate, data, ...small);
    const texts = async (log: Transport) => {
      const found: unknown[] = [];
      for (const topic of [TOPICS.valid, TOPICS.rejected]) {
        const [, range] = await log.ranges(topic);
        for await (const records of log.read(topic, 1, range!.low, range!.high)) {
          found.push(
            ...records.map((r) => r.value),
          );
        }
      }
      return found;
    };
    const calm = await judged([], flood);
    assert.deepEqual(await texts(log), await texts(calm.log));
  },
);

Deno.test("what is redriven is no flood to validate, whatever becomes of it", strict, async () => {
  const { data, log } = await judged(tradesOf(400, "5"), []);
  await run(redrive, data);
  await run(validate, data, "--reject-window", "100");
  assert.equal((await log.ranges(TOPICS.rejected))[0]!.high, 800);
});
