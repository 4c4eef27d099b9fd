/**
 * Dead letters are told as they are: counted, shown whole, exported byte for byte, from the hot store and from the topic.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import redrive from "../cmd/redrive.ts";
import rejects from "../cmd/rejects.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { Misuse } from "../lib/failure.ts";
import { RULES } from "../lib/rule.ts";
import { type Message, openTransport, TOPICS } from "../lib/transport.ts";
import { places, run, withData } from "../testdata/flow.ts";
import { AT, judged, mend, settled, trade, world } from "../testdata/redriven.ts";

const postgres = Deno.env.get("POSTGRES_URL");
if (!postgres) console.log("rejects: Postgres is not tried, POSTGRES_URL is not set");

const BYTES = new Uint8Array([0x7b, 0xff, 0x00, 0x0a, 0x22, 0x80]);
const LONG = JSON.stringify("é".repeat(300_000));
const MESSAGES: readonly Message[] = [
  trade(1, { frame: "sim-1.0/17" }),
  trade(2, { price: "0" }),
  { key: "sim:A", value: BYTES },
  { key: null, value: LONG },
  trade(5, { price: "20" }),
  trade(5, { price: "25" }),
];

/** A tape whose letters are in the hot store that is named, and in the topic. */
async function tape(hot: "memory" | "sqlite" | "postgres", use: (data: string) => Promise<void>): Promise<void> {
  if (hot === "memory") return await use((await judged(MESSAGES, [trade(9, { symbol: "B" })])).data);
  await withData(async (data) => {
    if (hot === "postgres") {
      const schema = `rejects_${Deno.pid}_${Date.now()}`;
      const url = `${postgres}${postgres!.includes("?") ? "&" : "?"}schema=${schema}`;
      places.set(data, { transport: `log:${data}/log?fsync=never`, hot: url });
    }
    const memory = await judged(MESSAGES, [trade(9, { symbol: "B" })]);
    const log = await openTransport(`log:${data}/log?fsync=never`, world);
    for (const topic of Object.values(TOPICS)) await log.create(topic, 2);
    for (const [partition, { low, high }] of (await memory.log.ranges(TOPICS.raw)).entries()) {
      for await (const records of memory.log.read(TOPICS.raw, partition, low, high)) {
        await log.append(TOPICS.raw, partition, records);
      }
    }
    await log.close();
    await run(validate, data);
    await run(sinkHot, data);
    await use(data);
  });
}

for (const hot of ["memory", "sqlite", "postgres"] as const) {
  Deno.test({
    name: `letters are counted, shown and exported alike from ${hot} and from the topic`,
    ignore: hot === "postgres" && !postgres,
    fn: () =>
      tape(hot, async (data) => {
        for (const store of ["hot", "topic"]) {
          const look = (...args: string[]) => run(rejects, data, ...args, "--store", store);
          const all = await look();
          assert.deepEqual([all.store, all.letters, all.untimed], [store, 6, 0]);
          assert.deepEqual(
            (all.groups as { reason: string; symbol: string; letters: number; newest: number }[])
              .map(({ reason, symbol, letters, newest }) => [reason, symbol, letters, newest]).sort(),
            [
              ["grid", "A", 2, AT + 5_000],
              ["grid", "B", 1, AT + 9_000],
              ["malformed", "A", 1, null],
              ["price", "A", 1, AT + 2_000],
              ["shape", null, 1, null],
            ],
          );
          const recent = await look("list", "--since", String(AT + 2_000), "--venue", "sim", "--symbol", "A");
          assert.deepEqual([recent.letters, recent.untimed], [2, 1]);
          assert.equal((await look("list", "--reason", "grid")).letters, 3);
          await assert.rejects(
            look("list", "--venue", "simm"),
            /^Misuse: Cannot list letters of --venue "simm": it is unknown, must be one that letters are of: sim$/,
          );
          assert.equal((await look("list", "--venue", "binance")).letters, 0);
          assert.equal((await look("list", "--severity", "quarantine")).letters, 0);

          const shown = await look("show", "ticks.raw/0/1");
          assert.deepEqual([shown.raw, shown.frame, shown.replays], [MESSAGES[0]!.value, "sim-1.0/17", 0]);
          assert.match(String(shown.text), /broke {4}grid {7}a price is no multiple of the tick size/);
          assert.match(String(shown.text), /rules {4}\d+@0: .*\ncame {5}2026-11-20T10:00:00.001Z, frame sim-1.0\/17\n/);
          const odd = await look("show", "0/3");
          assert.deepEqual([odd.raw, odd.rawBase64], [null, btoa(String.fromCharCode(...BYTES))]);
          assert.match(String(odd.text), /bytes {4}6, not UTF-8\n\ne\/8ACiKA$/);
          const both = await look("show", "ticks.raw/0/6");
          assert.deepEqual(
            (both.broken as { rule: string }[]).map(({ rule }) => rule),
            ["grid", "duplicate"],
          );
          assert.equal((await look("show", "ticks.raw/0/5")).findings?.length, 1);
          await assert.rejects(look("show"), Misuse);
          await assert.rejects(look("show", "nowhere"), Misuse);
          await assert.rejects(look("list", "ticks.raw/0/1"), Misuse);

          const out = await Deno.makeTempFile();
          try {
            assert.equal((await look("export", "--out", out)).letters, 6);
            const text = await Deno.readTextFile(out);
            const lines = text.trimEnd().split("\n").map((line) => JSON.parse(line));
            assert.deepEqual(
              lines.map(({ place }) => place),
              [1, 2, 3, 4, 6].map((n) => `ticks.raw/0/${n}`).concat("ticks.raw/1/1"),
            );
            assert.deepEqual([lines[0].text, lines[2].base64], [MESSAGES[0]!.value, odd.rawBase64]);
            assert.equal(
              new TextDecoder().decode(Uint8Array.from(atob(lines[3].base64), (c) => c.charCodeAt(0))),
              LONG,
            );
            // An export that was cut in the middle of a line, at whatever byte, is gone on with.
            for (const length of [0, 1, 30, 500, text.length - 10]) {
              await Deno.writeTextFile(out, text.slice(0, length));
              await look("export", "--out", out);
              assert.equal(await Deno.readTextFile(out), text, `cut at ${length}`);
            }
            // Also where what is gone on with is shorter than what was cut.
            await Deno.writeTextFile(out, text.slice(0, -10));
            await look("export", "--out", out, "--severity", "quarantine");
            assert.equal(await Deno.readTextFile(out), text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1));
            await Deno.writeTextFile(out, text);
            const { letters, after } = await look("export", "--out", out);
            assert.deepEqual([letters, after], [0, "0/6,1/1"]);
            for (const foreign of ["mine", "mine\n", `${text}mine`]) {
              await Deno.writeTextFile(out, foreign);
              await assert.rejects(look("export", "--out", out), Misuse);
              assert.equal(await Deno.readTextFile(out), foreign);
            }
          } finally {
            await Deno.remove(out);
          }
        }
      }),
  });
}

Deno.test("a letter says that it was redriven, and what came of it is another letter with its first place", async () => {
  const { data, log } = await judged([trade(1), trade(2, { price: "0" })], []);
  await mend(log);
  await run(redrive, data);
  await settled(data);
  assert.match(String((await run(rejects, data, "show", "0/1")).text), /replays {2}0; redriven since\n/);
  const again = await run(rejects, data, "show", "0/5");
  assert.match(String(again.text), /replays {2}1, {"first":"ticks.raw\/0\/2","replays":1,"unplaced":true}\n/);
  const { groups } = await run(rejects, data, "list", "--reason", "price") as unknown as { groups: unknown };
  assert.deepEqual(groups, [{
    ...{ reason: "price", severity: "reject", venue: "sim", symbol: "A", letters: 2, redriven: 1, replayed: 1 },
    newest: AT + 2_000,
  }]);
});

Deno.test("a reason that no rule gives is a misuse that names those that are, wherever letters are asked for", async () => {
  const all = RULES.map(({ name }) => name).join(", ");
  for (
    const [stage, ...words] of [[rejects, "list"], [rejects, "export"], [redrive], [redrive, "--dry-run"]] as const
  ) {
    for (const [reason, hint] of [["gird", "; did you mean grid?"], ["nothing-like-it", ""]]) {
      const error = await run(stage, "none", ...words, "--reason", reason!).then(() => null, (error: Error) => error);
      assert.ok(error instanceof Misuse);
      assert.equal(error?.message, `Cannot use --reason "${reason}": it is unknown, must be one of ${all}${hint}`);
    }
  }
});

Deno.test("a list counts of each row what was redriven, and not what a run only looked at", async () => {
  const { data, log } = await judged([trade(1), trade(2), trade(3, { price: "20" }), trade(3)], [
    trade(7, { symbol: "B" }),
  ]);
  await mend(log);
  await run(redrive, data, "--symbol", "A");
  const { groups, text } = await run(rejects, data, "list");
  assert.deepEqual(
    (groups as { symbol: string; letters: number; redriven: number }[]).map((of) => [
      of.symbol,
      of.letters,
      of.redriven,
    ]),
    [["A", 3, 2], ["B", 1, 0]],
  );
  assert.match(String(text), /letters {2}redriven {2}replayed .*\n.* A +3 +2 +0 /);
  assert.match(String((await run(rejects, data, "show", "0/1")).text), /replays {2}0; redriven since\n/);
  assert.match(String((await run(rejects, data, "show", "0/4")).text), /replays {2}0\n/);
});

Deno.test("where nothing is stored yet, that is said", async () => {
  await withData(async (data) => {
    await assert.rejects(run(rejects, data), (error: unknown) => {
      assert.match(
        error instanceof Misuse ? error.message : `${error}`,
        /^Cannot look for dead letters in ".*": there are/,
      );
      return true;
    });
  });
});

Deno.test("the original bytes reach stdout as they came, and so does an export", async () => {
  await tape("sqlite", async (data) => {
    const command = async (...args: string[]) => {
      const path = fileURLToPath(new URL("../cmd/rejects.ts", import.meta.url));
      const run = ["run", "-A", "--no-check", path, ...args, "--data", data];
      return await new Deno.Command(Deno.execPath(), { args: run, stderr: "piped" }).output();
    };
    const raw = await command("show", "ticks.raw/0/3", "--raw");
    assert.deepEqual([raw.code, raw.stdout], [0, BYTES]);
    const all = await command("export", "--after", "0/4");
    const text = new TextDecoder().decode(all.stdout);
    assert.deepEqual(text.trimEnd().split("\n").map((line) => JSON.parse(line).place), [
      "ticks.raw/0/6",
      "ticks.raw/1/1",
    ]);
    assert.match(new TextDecoder().decode(all.stderr), /exported 2 letters; --after 0\/6,1\/1 goes on behind them/);
    const none = await command("show", "9/9");
    assert.deepEqual([none.code, new TextDecoder().decode(none.stdout)], [
      3,
      "ticks.raw/9/9  no dead letter is kept of it in hot\n",
    ]);
    assert.equal((await command("show", "9/9", "--raw")).stdout.length, 0);
  });
});
