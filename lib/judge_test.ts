/** The judge as a whole: golden verdicts, planted faults, and that what it says depends on the log and nothing else. */
import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { Refusal } from "./failure.ts";
import { Judge, type Verdict, verdictsOf } from "./judge.ts";
import { Market } from "./market.ts";
import { FAULT_NAMES } from "./plant.ts";
import { ENDED_MAX, TRACKED_BYTES_MAX } from "./register.ts";
import { RULES_VERSION } from "./rule.ts";
import { INSTRUMENTS_MAX } from "./rule/control.ts";
import { isTick, Rejected, type ValidTick } from "./tick.ts";
import { CHECKPOINT_BYTES_MAX, type LogRecord, messageBytesMax, TOPICS, type Value } from "./transport.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const NOW = 1_763_690_000_000_000, SECOND = 1_000_000;
const VERDICTS = new URL("../testdata/verdicts/", import.meta.url);

type Fields = Record<string, unknown>;
const trade = (sequence: number | null, fields: Fields = {}): string =>
  JSON.stringify({
    ...{ type: "trade", venue: "sim", symbol: "A", eventTime: NOW, receivedTime: NOW, sequence, id: null },
    ...{ price: "1.00", size: "1", side: "buy", ...fields },
  });
const record = (offset: number, value: Value, key: string | null = "sim:A"): LogRecord => ({ offset, key, value });
const control = (offset: number, value: unknown): LogRecord => ({
  ...{ offset, key: null, value: typeof value === "string" ? value : JSON.stringify(value), control: true },
});
const judgeAll = (judge: Judge, records: readonly LogRecord[]): Verdict[] => records.map((r) => judge.judge(r));
const flagsOf = (verdict: Verdict): readonly string[] => {
  assert.equal(verdict.to, "valid", JSON.stringify(verdict));
  return (JSON.parse((verdict as { text: string }).text) as ValidTick).flags ?? [];
};
const reasonsOf = (verdict: Verdict): readonly string[] => verdict.to === "rejected" ? verdict.reasons : [];

for (const { name } of [...Deno.readDirSync(VERDICTS)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  if (!name.endsWith(".jsonl") || name.endsWith(".verdicts.jsonl")) continue;
  const expected = new URL(name.replace(/\.jsonl$/, ".verdicts.jsonl"), VERDICTS);
  Deno.test(`golden: ${name} is judged as its verdicts say`, options, async () => {
    const given = await Deno.readFile(new URL(name, VERDICTS));
    assert.equal(verdictsOf(given), await Deno.readTextFile(expected));
  });
}

Deno.test("a valid tick keeps its text and gains origin, previous and flags", options, () => {
  const judge = new Judge({ partition: 3 });
  const text = trade(1);
  assert.deepEqual(judge.judge(record(5, text)), {
    ...{ to: "valid", text: `${text.slice(0, -1)},"origin":5,"previous":-1}` },
  });
  judge.judge(record(6, "noise"));
  const late = trade(2, { eventTime: NOW - 2 * SECOND });
  assert.deepEqual(judge.judge(record(9, new TextEncoder().encode(late))), {
    ...{ to: "valid", text: `${late.slice(0, -1)},"origin":9,"previous":5,"flags":["late"]}` },
  });
});
Deno.test("of a message that no rejected one can hold the beginning, the length and the hash are kept", options, () => {
  const judge = new Judge({ partition: 3 });
  const bytes = new Uint8Array(3 << 20).map((_, i) => i);
  // As large as one may be whose bytes are all kept.
  const whole = "x".repeat(1_572_000);
  const verdicts = judgeAll(judge, [record(7, bytes), record(8, whole), record(9, "x".repeat(2 << 20))]);
  const messages = verdicts.map((verdict) => {
    const { text } = verdict as { text: string };
    assert(new TextEncoder().encode(text).length <= messageBytesMax(TOPICS.rejected));
    return Rejected.parse(JSON.parse(text));
  });
  assert.deepEqual(messages.map(({ origin, previous, reasons }) => [origin, previous, reasons]), [
    [7, -1, ["malformed"]],
    [8, 7, ["malformed"]],
    [9, 8, ["malformed"]],
  ]);
  const [cut, kept, text] = messages;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  assert.deepEqual(JSON.parse(cut!.raw!), { bytes: 3 << 20, sha256 });
  assert.deepEqual(Buffer.from(cut!.rawBase64!, "base64"), Buffer.from(bytes.subarray(0, 1 << 16)));
  assert.deepEqual([kept!.raw, Buffer.from(kept!.rawBase64!, "base64").length], [null, whole.length]);
  assert.equal(JSON.parse(text!.raw!).bytes, 2 << 20);
});
Deno.test("a rejected message keeps its bytes, its place and every reason", options, () => {
  const judge = new Judge({ partition: 3, topic: "elsewhere" });
  judge.judge(record(0, trade(1)));
  const text = ` ${trade(1, { price: "0", size: "-1", source: "redrive" })}`;
  const verdicts = judgeAll(judge, [record(7, text), record(9, Uint8Array.of(0xff, 0), null), record(12, "a\u0000")]);
  const messages = verdicts.map((verdict) => Rejected.parse(JSON.parse((verdict as { text: string }).text)));
  const place = { topic: "elsewhere", partition: 3, severity: "reject", rules: RULES_VERSION };
  assert.deepEqual(messages, [
    {
      ...{ ...place, origin: 7, previous: -1, key: "sim:A", reason: "price", reasons: ["price", "size", "duplicate"] },
      ...{ replays: 1, standing: "duplicate", raw: text, rawBase64: null },
    },
    {
      ...{ ...place, origin: 9, previous: 7, key: null, reason: "malformed", reasons: ["malformed"] },
      ...{ replays: 0, standing: null, raw: null, rawBase64: "/wA=" },
    },
    {
      ...{ ...place, origin: 12, previous: 9, key: "sim:A", reason: "malformed", reasons: ["malformed"] },
      ...{ replays: 0, standing: null, raw: null, rawBase64: "YQA=" },
    },
  ]);
  assert.deepEqual(verdicts.map(reasonsOf), messages.map(({ reasons }) => reasons));
});
Deno.test("a rejected message does not grow sixfold, whatever it is made of", options, () => {
  const value = "\u0001".repeat(1 << 20);
  const verdict = new Judge({ partition: 0 }).judge(record(0, value));
  if (verdict.to !== "rejected") throw new Error(verdict.to);
  assert(verdict.text.length < 1.5 * value.length);
  assert.equal(atob(Rejected.parse(JSON.parse(verdict.text)).rawBase64!), value);
});
Deno.test("the series is that of the tick, whatever the key says", options, () => {
  const judge = new Judge({ partition: 0 });
  const verdicts = judgeAll(judge, [
    ...[record(0, trade(1)), record(1, trade(1, { symbol: "B" }), "sim:A"), record(2, trade(1, { symbol: "B" }), null)],
    ...[record(3, trade(1), "sim:B"), record(4, trade(2), "sim:B")],
  ]);
  assert.deepEqual(verdicts.map(({ to }) => to), ["valid", "valid", "rejected", "rejected", "valid"]);
});
Deno.test("types of one instrument have sequences of their own and one watermark", options, () => {
  const quote = (sequence: number, eventTime: number) =>
    JSON.stringify({
      ...{ type: "quote", venue: "sim", symbol: "A", eventTime, receivedTime: NOW, sequence, id: null },
      ...{ bidPrice: "0.99", bidSize: "1", askPrice: "1", askSize: "1" },
    });
  const judge = new Judge({ partition: 0 });
  assert.deepEqual(flagsOf(judge.judge(record(0, trade(1)))), []);
  assert.deepEqual(flagsOf(judge.judge(record(1, quote(1, NOW - SECOND - 1)))), ["late"]);
});
Deno.test("no rejected tick, and none with our own time, moves the watermark", options, () => {
  const ahead = { eventTime: NOW + 4 * SECOND };
  const judge = new Judge({ partition: 0 });
  const verdicts = judgeAll(judge, [
    ...[record(0, trade(1)), record(1, trade(2, { ...ahead, price: "0" })), record(2, trade(1, ahead))],
    record(3, trade(3, { eventTime: NOW + 9 * SECOND })),
    record(4, trade(4, { ...ahead, receivedTime: NOW + 4 * SECOND, timeSource: "received" })),
  ]);
  assert.deepEqual(verdicts.map(reasonsOf), [[], ["price"], ["duplicate"], ["future"], []]);
  assert.deepEqual(flagsOf(judge.judge(record(5, trade(5)))), []);
  judge.judge(record(6, trade(6, ahead)));
  assert.deepEqual(flagsOf(judge.judge(record(7, trade(7)))), ["late"]);
  const { eventTime, sequence } = judge.timed!;
  assert.deepEqual([judge.skewMax, eventTime, sequence], [4 * SECOND, NOW, 7]);
  judge.judge(record(8, trade(8, { timeSource: "received" })));
  judge.judge(record(9, trade(9, { price: "0" })));
  assert.equal(judge.timed!.sequence, 7);
});
Deno.test(
  "an event time that says it is ours and is not the receipt's is no tick's, and closes no window",
  options,
  () => {
    const judge = new Judge({ partition: 0 });
    const own = { eventTime: NOW + 9 * SECOND, timeSource: "received" };
    const verdicts = judgeAll(judge, [record(0, trade(1)), record(1, trade(3, own)), record(2, trade(2))]);
    assert.deepEqual(verdicts.map(reasonsOf), [[], ["shape"], []]);
    assert.deepEqual(flagsOf(verdicts[2]!), ["reordered"]);
  },
);
Deno.test("a window that control records close and open again does not take for seen what it forgot", options, () => {
  const judge = new Judge({ partition: 0 });
  judgeAll(judge, [record(0, trade(1)), record(1, trade(9)), control(2, { control: "limits", windowMax: 2 })]);
  judge.judge(control(3, { control: "limits", windowMax: 100 }));
  assert.deepEqual(reasonsOf(judge.judge(record(4, trade(6)))), ["backwards"]);
  assert.deepEqual(flagsOf(judge.judge(record(5, trade(7)))), ["reordered"]);
});
Deno.test("a message that is no tick has its number seen, where it says which", options, () => {
  const judge = new Judge({ partition: 0 });
  const verdicts = judgeAll(judge, [
    ...[record(0, trade(1)), record(1, trade(2, { price: 5 })), record(2, trade(2)), record(3, trade(3))],
    ...[record(4, trade(10 ** 12, { price: 5 })), record(5, trade(4)), record(6, trade(5, { type: "toString" }))],
    ...[record(7, trade(5)), record(8, trade(10 ** 12, { price: "0" })), record(9, trade(6))],
    ...[record(10, trade(7, { symbol: "B", price: 5 })), record(11, trade(7, { symbol: "B" }))],
  ]);
  assert.deepEqual(verdicts.map((verdict) => reasonsOf(verdict).join()), [
    ...["", "shape", "duplicate", "", "shape", "", "shape", "", "price", "", "shape", ""],
  ]);
});

Deno.test("rules change at the offset of their control record and are named after it", options, () => {
  const instruments = [{ symbol: "A", tickSize: "0.5", lot: "1", negative: false }];
  const judge = new Judge({ partition: 0 });
  const say = (offset: number, sequence: number) =>
    reasonsOf(judge.judge(record(offset, trade(sequence, { price: "1.25" })))).join();
  assert.equal(judge.rules, RULES_VERSION);
  assert.equal(say(0, 1), "");
  assert.deepEqual(judge.judge(control(1, { control: "instruments", venue: "sim", instruments })), { to: "control" });
  assert.equal(judge.rules, `${RULES_VERSION}@1`);
  assert.equal(say(2, 2), "grid");
  judge.judge(control(3, { control: "instruments", venue: "other", instruments: [] }));
  assert.equal(say(4, 3), "grid");
  judge.judge(control(5, { control: "instruments", venue: "sim", instruments: [] }));
  assert.equal(say(6, 4), "");
  assert.deepEqual([judge.counts.control, judge.counts.ungridded, judge.rules], [3, 2, `${RULES_VERSION}@5`]);
});
Deno.test(
  "severities come into force at their record: rejected, quarantined, flagged, or nothing at all",
  options,
  () => {
    const judge = new Judge({ partition: 0 });
    const say = (sequence: number, fields: Fields) => {
      const verdict = judge.judge(record(0, trade(sequence, fields)));
      if (verdict.to === "valid") return ["valid", ...flagsOf(verdict)].join(" ");
      if (verdict.to === "control") throw new Error("control");
      assert.equal(JSON.parse(verdict.text).severity, verdict.severity);
      return [verdict.severity, ...verdict.reasons].join(" ");
    };
    const bad = { price: "0", size: "-1", eventTime: NOW + 9 * SECOND };
    assert.equal(say(1, bad), "reject price size future");
    const govern = (severity: Fields, rest: Fields = {}) =>
      judge.judge(control(1, { control: "rules", rules: [{ severity, ...rest }] }));
    govern({ price: "quarantine", size: "flag", future: "off" });
    assert.equal(say(2, bad), "quarantine price");
    govern({ price: "flag", size: "flag", future: "quarantine" });
    assert.equal(say(3, bad), "quarantine future");
    govern({ price: "flag", size: "off", future: "flag" });
    assert.equal(say(4, bad), "valid price future");
    assert.equal(say(5, {}), "valid", "what lies ahead of its receipt makes nothing late");
    govern({ price: "flag", size: "quarantine", future: "reject" });
    assert.equal(say(6, bad), "reject size future", "as severe as the severest");
    govern({ price: "off" }, { symbol: "B*" });
    assert.equal(say(7, { price: "0" }), "reject price");
    assert.deepEqual([judge.counts.quarantined, judge.counts.flags.price, judge.counts.reasons.price], [2, 1, 3]);
    govern({ shape: "quarantine" });
    assert.equal(say(8, { price: 1 }), "quarantine shape");
    govern({});
    assert.equal(say(9, { price: 1 }), "reject shape");
  },
);
Deno.test("limits hold for whom their entry speaks of, and behind a resume", options, () => {
  const first = new Judge({ partition: 0 });
  const rules = [{ symbol: "A", type: "trade", limits: { lateMsMax: 5_000 } }];
  judgeAll(first, [control(0, { control: "limits", futureMsMax: 1 }), control(1, { control: "rules", rules })]);
  for (const judge of [first, new Judge({ partition: 0, state: first.state() })]) {
    const late = (symbol: string, at: number, sequence: number) =>
      judge.judge(record(0, trade(sequence, { symbol, eventTime: NOW + at, receivedTime: NOW + 9 * SECOND }), null));
    for (const symbol of ["A", "B"]) late(symbol, 6 * SECOND, 1);
    assert.deepEqual([flagsOf(late("A", 2 * SECOND, 2)), flagsOf(late("B", 2 * SECOND, 2))], [[], ["late"]]);
    const ahead = trade(3, { eventTime: NOW + 9 * SECOND, receivedTime: NOW });
    assert.deepEqual(reasonsOf(judge.judge(record(0, ahead))), ["future"]);
  }
});
const atMs = (ms: number) => ({ eventTime: NOW + ms * 1_000, receivedTime: NOW + ms * 1_000 });
const statusOf = (state: string, ms: number): string =>
  JSON.stringify({
    ...{ type: "status", venue: "sim", symbol: "A", ...atMs(ms), timeSource: "received", sequence: null, id: null },
    ...{ state, firstId: null, lastId: null, detail: null },
  });
Deno.test("a new connection lets numbers begin anew, a fall without one does not", options, () => {
  const at = atMs, connected = (ms: number) => statusOf("connected", ms);
  const judge = new Judge({ partition: 0 });
  const verdicts = judgeAll(judge, [
    ...[record(0, trade(9_000, at(1))), record(1, trade(5, at(2))), record(2, connected(3))],
    ...[
      record(3, trade(9_000, at(1))),
      record(4, trade(5, at(4))),
      record(5, trade(6, at(5))),
      record(6, trade(6, at(5))),
    ],
  ]);
  assert.deepEqual(verdicts.map(reasonsOf), [[], ["backwards"], [], ["duplicate"], [], [], ["duplicate"]]);
  assert.deepEqual([flagsOf(verdicts[4]!), flagsOf(verdicts[5]!)], [["reset"], []]);
});
Deno.test("no other word of a connection or a venue lets numbers begin anew", options, () => {
  for (const state of ["subscribed", "silent", "gap", "disconnected", "halted", "trading", "closed"]) {
    const judge = new Judge({ partition: 0 });
    const verdicts = judgeAll(judge, [
      ...[record(0, trade(9_000, atMs(1))), record(1, statusOf(state, 2)), record(2, trade(5, atMs(3)))],
    ]);
    assert.deepEqual(verdicts.map(reasonsOf), [[], [], ["backwards"]], state);
  }
});
Deno.test("what was fetched afterwards begins no numbers anew and is no price of now", options, () => {
  const judge = new Judge({ partition: 0 });
  const backfill = (sequence: number | null, ms: number, fields: Fields = {}) =>
    trade(sequence, { ...atMs(ms), source: "backfill", ...fields });
  const [, , fetched, live] = judgeAll(judge, [
    ...[record(0, trade(9_000, atMs(1))), record(1, statusOf("connected", 2))],
    ...[record(2, backfill(5, 3)), record(3, trade(6, atMs(4)))],
  ]).map(flagsOf);
  assert.deepEqual([fetched, live], [[], ["reset"]]);
  for (let i = 7; i < 20; i++) judge.judge(record(i, trade(i, atMs(i))));
  for (let i = 20; i < 40; i++) {
    assert.deepEqual(flagsOf(judge.judge(record(i, backfill(i, i, { price: "2.00" })))), []);
  }
  const prices = ["1.00", "2.00"].map((price, i) =>
    flagsOf(judge.judge(record(40, trade(40 + i, { ...atMs(40), price }))))
  );
  assert.deepEqual(prices, [[], ["outlier"]]);
});
Deno.test("what is redriven and is no tick takes no number", options, () => {
  const judge = new Judge({ partition: 0 });
  const again = { source: "redrive", redriven: { first: "ticks.raw/0/0", replays: 1 } };
  const verdicts = judgeAll(judge, [
    ...[record(1, trade(1)), record(2, trade(2, { price: 1, ...again })), record(3, trade(2))],
    ...[record(4, trade(3, { price: 1 })), record(5, trade(3))],
  ]);
  assert.deepEqual(verdicts.map(reasonsOf), [[], ["shape"], [], ["shape"], ["duplicate"]]);
});
Deno.test("a new session of its calendar lets numbers begin anew", options, () => {
  const friday = Date.UTC(2026, 10, 20, 15) * 1_000, monday = Date.UTC(2026, 10, 23, 15) * 1_000;
  const of = (sequence: number, at: number) =>
    trade(sequence, { symbol: "NIGHT-GAS", eventTime: at, receivedTime: at, price: "30.00" });
  const judge = new Judge({ partition: 0 });
  const verdicts = judgeAll(judge, [
    ...[
      record(0, of(9_000, friday)),
      record(1, of(5, friday + 1)),
      record(2, of(5, monday)),
      record(3, of(6, monday + 1)),
    ],
  ]);
  assert.deepEqual(verdicts.map(reasonsOf), [[], ["backwards"], [], []]);
  assert.deepEqual([flagsOf(verdicts[2]!), flagsOf(verdicts[3]!)], [["reset"], []]);
  const night = judge.judge(record(4, of(7, Date.UTC(2026, 10, 23, 23, 30) * 1_000)));
  assert.deepEqual(flagsOf(night), ["session"]);
});
Deno.test("a book whose number says that the service began anew is one", options, () => {
  const judge = new Judge({ partition: 0 });
  const book = (venue: string, sequence: number) =>
    judge.judge(record(
      0,
      JSON.stringify({
        ...{ type: "book", venue, symbol: "A", eventTime: NOW, receivedTime: NOW, sequence, id: null },
        ...{ bids: [["1", "1"]], asks: [["1.01", "1"]] },
      }),
      null,
    ));
  assert.deepEqual([book("bybit", 7), book("bybit", 1), book("kraken", 1)].map(flagsOf), [[], ["reset"], []]);
});
Deno.test(
  "an id without a number is a duplicate within the window, also where what came first was backfilled",
  options,
  () => {
    const judge = new Judge({ partition: 0 });
    judge.judge(control(0, { control: "limits", windowMax: 2 }));
    const of = (id: string, fields: Fields = {}) =>
      judge.judge(record(1, trade(null, { venue: "bybit", id, ...fields }), null));
    const found = [
      of("a"),
      of("b", { price: "0" }),
      of("b", { source: "backfill" }),
      of("b"),
      of("a"),
      of("c"),
      of("a"),
    ];
    assert.deepEqual(found.map((verdict) => reasonsOf(verdict).join()), [
      "",
      "price",
      "",
      "duplicate",
      "duplicate",
      "",
      "",
    ]);
    const state = judge.state();
    assert.deepEqual(
      reasonsOf(new Judge({ partition: 0, state }).judge(record(2, trade(null, { venue: "bybit", id: "c" }), null))),
      [
        "duplicate",
      ],
    );
    const other = (venue: string) => [1, 2].map(() => judge.judge(record(3, trade(null, { venue, id: "a" }), null)).to);
    assert.deepEqual([other("lobster"), other("finnhub")], [["valid", "valid"], ["valid", "valid"]]);
  },
);
Deno.test("what is old against its own receipt is so by the venue's clock", options, () => {
  const judge = new Judge({ partition: 0 });
  const flags = (venue: string, lag: number, fields: Fields = {}) =>
    flagsOf(
      judge.judge(record(0, trade(null, { venue, eventTime: NOW, receivedTime: NOW + lag * SECOND, ...fields }), null)),
    );
  assert.deepEqual([flags("a", 1), flags("a", 121), flags("a", 122)], [[], [], ["old"]]);
  assert.deepEqual([flags("a", -4), flags("a", 117)], [[], ["old"]], "a clock that is ahead is no excuse");
  assert.deepEqual(
    [flags("b", 7_200), flags("b", 7_200), flags("b", 7_321)],
    [["old"], [], ["old"]],
    "one that is behind is",
  );
  assert.deepEqual(flags("a", 9_000, { source: "backfill" }), []);
});
Deno.test("a price that stays elsewhere is the price, also where what is far is not let pass", options, () => {
  for (const severity of ["flag", "quarantine"]) {
    const judge = new Judge({ partition: 0 });
    judge.judge(control(0, { control: "rules", rules: [{ severity: { outlier: severity } }] }));
    const say = (price: string) => {
      const verdict = judge.judge(record(1, trade(null, { price })));
      return verdict.to === "valid" ? flagsOf(verdict).join() : reasonsOf(verdict).join();
    };
    assert.deepEqual(Array.from({ length: 8 }, () => say("100")), new Array(8).fill(""));
    assert.deepEqual([say("150"), say("101"), say("150"), say("99")], ["outlier", "", "outlier", ""]);
    assert.deepEqual(Array.from({ length: 10 }, () => say("150")), [...new Array(8).fill("outlier"), "", ""]);
  }
});
const ONE = { lot: "1", negative: false };
/** A record of instrument A, or of none. */
const dated = (offset: number, tickSize: string | null, times: { since?: number; until?: number }): LogRecord => {
  const instruments = tickSize === null ? [] : [{ symbol: "A", tickSize, ...ONE }];
  return control(offset, { control: "instruments", venue: "sim", ...times, instruments });
};
/** The reason, or nothing, for a trade of A at a price, so many µs after NOW; its number counts for nothing. */
const judgedAt = (judge: Judge, after: number, price: string): string =>
  reasonsOf(judge.judge(record(0, trade(null, { eventTime: NOW + after, receivedTime: NOW + after, price })))).join();

Deno.test("a tick is held against what was in force when it happened, to the microsecond", options, () => {
  const judge = new Judge({ partition: 0 });
  const say = (after: number, price: string) => judgedAt(judge, after, price);
  judge.judge(dated(0, "0.5", { since: NOW }));
  assert.deepEqual([say(-1, "1.1"), say(0, "1.1"), say(0, "1.5")], ["", "grid", ""], "before it nothing is known");
  judge.judge(dated(1, "0.1", { since: NOW + 10 }));
  assert.deepEqual([say(9, "1.1"), say(9, "1.5"), say(10, "1.1"), say(10, "1.15")], ["grid", "", "", "grid"]);
  judge.judge(dated(2, null, { since: NOW + 20 }));
  assert.deepEqual([say(0, "1.1"), say(10, "1.15"), say(19, "1.15"), say(20, "1.15")], ["grid", "grid", "grid", ""]);
  judge.judge(dated(3, "0.2", { since: NOW + 30 }));
  assert.deepEqual([say(19, "1.15"), say(29, "1.15"), say(30, "1.1")], ["grid", "", "grid"]);
  const other = trade(null, { venue: "sim2", eventTime: NOW + 10, receivedTime: NOW + 10, price: "1.15" });
  assert.equal(judge.judge(record(0, other)).to, "valid", "another venue's instrument of this name is another one");
});
Deno.test("what is judged first when an instrument has gone is held against what it was too", options, () => {
  const judge = new Judge({ partition: 0 });
  judge.judge(dated(0, "0.5", { since: NOW }));
  judge.judge(dated(1, null, { since: NOW + 10 }));
  assert.deepEqual([judgedAt(judge, 9, "1.1"), judgedAt(judge, 10, "1.1")], ["grid", ""]);
});
Deno.test(
  "between the last time that it was seen and the first time that it had changed nothing is held against a grid",
  options,
  () => {
    const judge = new Judge({ partition: 0 });
    const say = (after: number) => judgedAt(judge, after, "1.05");
    judge.judge(dated(0, "0.5", { since: NOW }));
    judge.judge(dated(1, "0.1", { since: NOW + 20, until: NOW + 10 }));
    assert.deepEqual([say(9), say(10), say(19), say(20)], ["grid", "", "", "grid"]);
    // What did not change was in force all the time.
    judge.judge(dated(2, "0.10", { since: NOW + 40, until: NOW + 30 }));
    assert.deepEqual([say(29), say(30), say(40)], ["grid", "grid", "grid"]);
  },
);
Deno.test("a record takes back what others have said of the time from its own on", options, () => {
  const judge = new Judge({ partition: 0 });
  const say = (after: number) => judgedAt(judge, after, "1.1");
  judge.judge(dated(0, "0.5", { since: NOW }));
  judge.judge(dated(1, "0.1", { since: NOW + 20 }));
  judge.judge(dated(2, "0.5", { since: NOW + 30 }));
  judge.judge(dated(3, "0.1", { since: NOW + 10 }));
  assert.deepEqual([say(9), say(10), say(20), say(30)], ["grid", "", "", ""]);
  judge.judge(dated(4, "0.5", {}));
  assert.deepEqual(
    [say(-5), say(9), say(10), say(30)],
    ["grid", "grid", "grid", "grid"],
    "and of all time without one",
  );
});
Deno.test("what is taken back is known no longer, of that venue and from that time on", options, () => {
  const judge = new Judge({ partition: 0 });
  const say = (after: number) => judgedAt(judge, after, "1.1");
  judge.judge(dated(0, "0.5", { since: NOW }));
  judge.judge(dated(1, "0.25", { since: NOW + 20 }));
  judge.judge(control(2, { control: "instruments", venue: "other", since: NOW + 10, instruments: [] }));
  assert.deepEqual([say(9), say(15), say(20)], ["grid", "grid", "grid"], "another venue says nothing of it");
  judge.judge(dated(3, null, { since: NOW + 10 }));
  assert.deepEqual([say(9), say(10), say(15), say(20)], ["grid", "", "", ""]);
  judge.judge(dated(4, null, {}));
  assert.deepEqual([say(9), say(15)], ["", ""]);
});
Deno.test("what is found to have been so before is held to have been so before", options, () => {
  const judge = new Judge({ partition: 0 });
  judge.judge(dated(0, "0.5", { since: NOW + 20 }));
  judge.judge(dated(1, "0.5", { since: NOW + 10 }));
  assert.deepEqual([9, 10, 20].map((after) => judgedAt(judge, after, "1.1")), ["", "grid", "grid"]);
});
Deno.test("where there is no more room, what has not changed for longest is forgotten first", options, () => {
  const judge = new Judge({ partition: 0 });
  const others = Array.from({ length: ENDED_MAX - 3 }, (_, i) => `F${i}`);
  const say = (after: number, steps: Readonly<Record<string, string>>) =>
    judge.judge(control(0, {
      ...{ control: "instruments", venue: "sim", since: NOW + after },
      instruments: Object.entries(steps).map(([symbol, tickSize]) => ({ symbol, tickSize, ...ONE })),
    }));
  const filled = Object.fromEntries(others.map((symbol) => [symbol, "1"]));
  say(0, { A: "0.5", B: "0.5", ...filled });
  say(10, { A: "0.25", B: "0.5", ...filled });
  say(20, { A: "0.25", B: "0.25", ...filled });
  say(30, { A: "0.5", B: "0.25", ...filled });
  say(40, { A: "0.5", B: "0.25" });
  const at = (symbol: string) =>
    reasonsOf(judge.judge(record(0, trade(null, { symbol, eventTime: NOW, price: "1.1" }), `sim:${symbol}`))).join();
  assert.deepEqual([at("A"), at("B")], ["grid", "grid"]);
  say(50, { A: "0.25", B: "0.25" });
  assert.deepEqual([at("A"), at("B")], ["grid", ""]);
});
Deno.test("of what is no longer in force as much is remembered as the state has room for, the latest", options, () => {
  const judge = new Judge({ partition: 0 });
  const step = (i: number) => i % 2 === 0 ? "0.5" : "0.25";
  for (let i = 0; i <= ENDED_MAX + 1; i++) judge.judge(dated(i, step(i), { since: NOW + i * 10 }));
  const resumed = new Judge({ partition: 0, state: judge.state() });
  for (const each of [judge, resumed]) {
    assert.deepEqual([judgedAt(each, 5, "1.1"), judgedAt(each, 15, "1.1")], ["", "grid"]);
    each.judge(dated(0, null, { since: NOW + ENDED_MAX * 20 }));
    assert.deepEqual([judgedAt(each, 15, "1.1"), judgedAt(each, 25, "1.1")], ["", "grid"]);
  }
  assert.equal(resumed.state(), judge.state());
});
Deno.test("as many instruments as there may be leave room in the state for all else", options, () => {
  const judge = new Judge({ partition: 0 });
  const [name, long] = ["漢".repeat(59), `${"9".repeat(26)}.${"9".repeat(11)}`];
  const venues = Array.from({ length: 20 }, (_, i) => `${"v".repeat(30)}${i + 10}`);
  const all = (digit: string) =>
    Array.from({ length: INSTRUMENTS_MAX / venues.length }, (_, i) => ({
      ...{ symbol: `${name}${i}`, tickSize: `${long}${digit}`, lot: `${long}9`, negative: false },
    }));
  for (const [since, digit] of [[NOW, "1"], [NOW + 10, "2"]] as const) {
    const instruments = all(digit);
    for (const venue of venues) judge.judge(control(0, { control: "instruments", venue, since, instruments }));
  }
  const bytes = new TextEncoder().encode(judge.state()).length;
  assert(bytes + TRACKED_BYTES_MAX < CHECKPOINT_BYTES_MAX, `${bytes} bytes`);
  assert(new Judge({ partition: 0, state: judge.state() }).state() === judge.state());
});
Deno.test("a control record that says nothing known is refused with its place", options, () => {
  const many = (venue: string, length: number) => ({
    ...{ control: "instruments", venue },
    instruments: Array.from({ length }, (_, i) => ({ symbol: `S${i}`, tickSize: "1", lot: "1", negative: false })),
  });
  const judge = new Judge({ partition: 4 });
  const wrong = { symbol: "A", tickSize: "0", lot: "1", negative: false };
  for (
    const [value, message] of [
      ["{", /"ticks.raw\/4\/17": its value is not as described/],
      [{ control: "limits", windowMax: 0 }, /"ticks.raw\/4\/17": windowMax is not as described/],
      [{ control: "instruments", venue: "sim", instruments: [wrong] }, /: instruments.0.tickSize is not/],
    ] as const
  ) {
    assert.throws(
      () => judge.judge(control(17, value)),
      (e: unknown) => e instanceof Refusal && message.test(e.message),
    );
  }
  const small = INSTRUMENTS_MAX / 4 - 1;
  for (const venue of ["a", "b", "c", "d"]) judge.judge(control(1, many(venue, small)));
  assert.throws(
    () => judge.judge(control(2, many("e", 5))),
    /20001 instruments would be in force, must be at most 20000/,
  );
  judge.judge(control(3, many("e", 4)));
  assert.equal(judge.rules, `${RULES_VERSION}@3`);
});

/** Every message of a market with faults, and a control record in front. */
function records(market: Market, count: number): { readonly all: LogRecord[]; readonly truths: Map<number, string> } {
  const instruments = market.instruments.map(({ symbol, tickSize, lot, negative }) => ({
    symbol,
    tickSize,
    lot,
    negative,
  }));
  const all = [control(0, { control: "instruments", venue: "sim", instruments })];
  const truths = new Map<number, string>();
  for (const { key, value, truth } of market.fill(count)) {
    if (truth !== undefined) truths.set(all.length, truth.fault);
    all.push(record(all.length, value, key));
  }
  return { all, truths };
}

for (const mixed of [0, 16]) {
  Deno.test(
    `every planted fault is found by its rule, nothing clean is touched, and nothing is lost${
      mixed ? ", in whatever order" : ""
    }`,
    options,
    () => {
      const [seed, symbols] = [11, 4];
      const market = new Market({ seed, symbols, faults: 0.05, mixed });
      const instruments = market.instruments.map(({ symbol, tickSize, lot, negative }) => ({
        symbol,
        tickSize,
        lot,
        negative,
      }));
      const judge = new Judge({ partition: 0 });
      judge.judge(control(0, { control: "instruments", venue: "sim", instruments }));
      const faulty = market.fill(30_000);
      // Time enough for every window to close over its holes.
      const calm = new Market({ seed, symbols, state: market.state() }).fill(30_000);
      const found: Record<string, number> = {};
      let gaps = 0, planted = 0, rejected = 0;
      [...faulty, ...calm].forEach(({ key, value, truth }, i) => {
        const verdict = judge.judge(record(i + 1, value, key));
        const place = `${i} ${truth?.fault} ${JSON.stringify(verdict)}`;
        if (verdict.to === "rejected") {
          if (truth?.outcome !== "rejected") throw new Error(place);
          assert.equal(verdict.reason, truth.reason, place);
          for (const reason of verdict.reasons) {
            assert([truth.reason as string, ...truth.also].includes(reason), place);
          }
          rejected++;
        } else {
          const flags = flagsOf(verdict);
          if (flags.includes("gap")) gaps++;
          const others = flags.filter((name) => name !== "gap" && !(mixed && name === "reordered"));
          assert(truth === undefined || truth.outcome === "flagged", place);
          const reason = truth === undefined || truth.fault === "gap" ? [] : [truth.reason as string];
          assert.deepEqual(others.filter((name) => !truth?.also.some((other) => other === name)), reason, place);
          if (truth?.fault === "gap") planted++;
        }
        if (truth !== undefined) found[truth.fault] = (found[truth.fault] ?? 0) + 1;
      });
      assert.deepEqual(Object.keys(found).sort(), [...FAULT_NAMES].sort());
      for (const [fault, count] of Object.entries(found)) {
        assert(count > (fault === "frozen" ? 7 : 30), `${fault}: ${count}`);
      }
      assert.equal(judge.missing, planted, "every missing number is declared once");
      assert(gaps > planted / 2 && gaps <= planted);
      const { counts } = judge;
      assert.equal(counts.valid + counts.rejected, faulty.length + calm.length);
      assert.equal(counts.rejected, rejected);
      assert.equal(
        Object.values(counts.reasons).reduce((sum, count) => sum + count, 0),
        rejected,
      );
      assert.equal(counts.flags.gap, gaps);
    },
  );
}

/** Messages that do everything badly: few numbers, few symbols, all sources, broken in every way, and control records. */
const wild = fc.record({
  kind: fc.constantFrom("trade", "trade", "trade", "quote", "quote", "broken", "control"),
  symbol: fc.constantFrom("A", "B"),
  venue: fc.constantFrom("sim", "sim", "sim", "binance"),
  ahead: fc.oneof({ weight: 40, arbitrary: fc.integer({ min: -6, max: 6 }) }, fc.constantFrom(null, 10 ** 6)),
  after: fc.integer({ min: -SECOND, max: SECOND / 2 }),
  price: fc.constantFrom("1", "1", "1", "1.05", "0", "-1", "0.0000000000001"),
  source: fc.constantFrom(undefined, undefined, undefined, "backfill", "redrive", "conflated"),
  change: fc.constantFrom(
    ...[{ control: "limits", windowMax: 4 }, { control: "limits", windowMax: 50, lateMsMax: 500 }],
    { control: "rules", rules: [{ severity: { crossed: "flag", late: "quarantine", price: "off" } }] },
    {
      control: "rules",
      rules: [{ symbol: "B", limits: { windowMax: 3 }, severity: { grid: "flag", outlier: "reject" } }],
    },
    { control: "instruments", venue: "sim", instruments: [{ symbol: "A", tickSize: "1", lot: "1", negative: true }] },
    { control: "instruments", venue: "sim", instruments: [] },
    ...[0.5, 1, 2, 3, 4].flatMap((at) => {
      const dated = { control: "instruments", venue: "sim", since: NOW + at * SECOND };
      const [coarse, fine] = [{ tickSize: "1", lot: "1" }, { tickSize: "0.05", lot: "1" }];
      return [
        { ...dated, instruments: [{ symbol: "A", ...coarse, negative: false }] },
        {
          ...dated,
          until: NOW + at / 2 * SECOND,
          instruments: ["A", "B"].map((symbol) => ({ symbol, ...fine, negative: true })),
        },
        { ...dated, instruments: [] },
      ];
    }),
  ),
}).map(({ kind, symbol, venue, ahead, after, price, source, change }) => (offset: number): LogRecord => {
  if (kind === "control") return control(offset, change);
  const sequence = ahead === null ? null : Math.max(0, (offset >> 1) + ahead);
  const eventTime = NOW + after + offset * 50_000;
  const fields = { symbol, venue, eventTime, receivedTime: NOW + offset * 50_000, source };
  if (kind === "broken") return record(offset, trade(sequence, { ...fields, side: 1 }), `${venue}:${symbol}`);
  const { price: _, size: __, side: ___, ...head } = JSON.parse(trade(sequence, fields)) as Fields;
  const quote = { ...head, type: "quote", bidPrice: price, bidSize: "1", askPrice: "1", askSize: "1" };
  return record(
    offset,
    kind === "trade" ? trade(sequence, { ...fields, price }) : JSON.stringify(quote),
    `${venue}:${symbol}`,
  );
});

Deno.test("a judge that is stopped and resumed anywhere says what one says that never stopped", options, () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(wild, { minLength: 1, maxLength: 120 }), fc.nat(120), (makers, cut) => {
      const all = makers.map((make, i) => make(i));
      const whole = new Judge({ partition: 1 });
      const expected = judgeAll(whole, all);
      const half = new Judge({ partition: 1 });
      const first = judgeAll(half, all.slice(0, cut));
      const rest = new Judge({ partition: 1, state: half.state() });
      assert.equal(rest.state(), half.state());
      assert.deepEqual([...first, ...judgeAll(rest, all.slice(cut))], expected);
      assert.equal(rest.state(), whole.state());
      assert.deepEqual([rest.rules, rest.missing], [whole.rules, whole.missing]);
      for (const verdict of expected) {
        for (const name of verdict.to === "valid" ? flagsOf(verdict) : reasonsOf(verdict)) seen.add(name);
      }
    }),
    { numRuns: 300, seed: 7 },
  );
  for (
    const name of [
      "shape",
      "precision",
      "price",
      "grid",
      "crossed",
      "duplicate",
      "backwards",
      "locked",
      "gap",
      "late",
      "reordered",
    ]
  ) {
    assert(seen.has(name), `${name} was never said, so that little was tried`);
  }
});
Deno.test("a market is judged the same in one go and with a restart every thousand messages", options, () => {
  const { all, truths } = records(new Market({ seed: 3, symbols: 8, faults: 0.02 }), 6_000);
  assert(truths.size > 50);
  const expected = judgeAll(new Judge({ partition: 0 }), all);
  let state: string | undefined;
  for (let from = 0; from < all.length; from += 1_000) {
    const judge = new Judge({ partition: 0, state });
    assert.deepEqual(judgeAll(judge, all.slice(from, from + 1_000)), expected.slice(from, from + 1_000));
    state = judge.state();
  }
});
Deno.test(
  "whatever arrives, each message has one verdict, and each output names its messages one after another",
  options,
  () => {
    const { all } = records(new Market({ seed: 5, symbols: 3, faults: 0.3 }), 3_000);
    const judge = new Judge({ partition: 0 });
    const last = { valid: -1, rejected: -1 };
    for (const message of all) {
      const verdict = judge.judge(message);
      if (verdict.to === "control") continue;
      assert(!/[\n\r]/.test(verdict.text));
      const { origin, previous, flags: _, ...tick } = JSON.parse(verdict.text) as ValidTick;
      assert.deepEqual([origin, previous], [message.offset, last[verdict.to]]);
      assert.equal(verdict.to === "valid", isTick(tick));
      last[verdict.to] = origin;
    }
  },
);

Deno.test(
  "a state is refused that is damaged, another's, or of other rules unless both outputs are drained",
  options,
  () => {
    const judge = new Judge({ partition: 2 });
    judge.judge(record(0, trade(1)));
    const state = judge.state();
    const refuses = (changed: string, message: RegExp, partition = 2) =>
      assert.throws(
        () => new Judge({ partition, state: changed }),
        (e: unknown) => e instanceof Refusal && message.test(e.message),
      );
    refuses(state.slice(1), /state is damaged/);
    refuses(state.replace('"windowMax":1024', '"windowMax":0'), /state is damaged/);
    refuses(state, /its state is that of "ticks.raw\/2", must be its own/, 3);
    const old = state.replace(`"version":"${RULES_VERSION}"`, '"version":"0"');
    refuses(old, /its state is of rules "0", must be of rules "4" or drained/);
    const resumed = new Judge({ partition: 2, state: old, drained: true });
    assert.equal(resumed.judge(record(1, trade(1))).to, "rejected");
  },
);
Deno.test(
  "a drained state of an earlier format goes on with its numbers, its limits and its instruments",
  options,
  () => {
    const instruments = ["sim", [["A", "0.5", "1", false]]];
    const old = {
      ...{ format: 2, version: "3", topic: "ticks.raw", partition: 0, control: 4, lastValid: 9, lastRejected: 8 },
      register: {
        ...{ limits: { futureMsMax: 7_000, lateMsMax: 2_000, windowMax: 50 }, instruments: [instruments], missing: 3 },
        // A hole from 95 to 96, and what is of no interest before the first number.
        subjects: [["sim:A", NOW, [["trade", [100, 50, NOW, 0, 60, 95, 96, NOW]]]]],
      },
    };
    const judge = new Judge({ partition: 0, state: JSON.stringify(old), drained: true });
    const ahead = (ms: number) => ({ price: "1.5", eventTime: NOW + ms * 1_000, receivedTime: NOW });
    const verdicts = judgeAll(judge, [
      ...[record(10, trade(100, ahead(0))), record(11, trade(95, ahead(0))), record(12, trade(49, ahead(0)))],
      ...[
        record(13, trade(101, ahead(7_000))),
        record(14, trade(102, ahead(7_001))),
        record(15, trade(103, { price: "1.2" })),
      ],
    ]);
    assert.deepEqual(verdicts.map(reasonsOf), [["duplicate"], [], ["backwards"], [], ["future"], ["grid"]]);
    assert.deepEqual([judge.rules, judge.missing], [`${RULES_VERSION}@4`, 4]);
    assert.equal(JSON.parse(judge.state()).format, 4);
    assert.equal(new Judge({ partition: 0, state: judge.state() }).state(), judge.state());
  },
);
Deno.test(
  "a flood of instruments is judged without memory where the state is full, and the state stays bounded",
  options,
  () => {
    const judge = new Judge({ partition: 0 });
    const name = "漢".repeat(58);
    const count = Math.ceil(TRACKED_BYTES_MAX / 200);
    for (let i = 0; i < count; i++) judge.judge(record(i, trade(9_000_000_000, { symbol: `${name}${i}` }), null));
    assert(judge.counts.untracked > 0 && judge.counts.untracked < count);
    assert.equal(judge.counts.valid, count);
    const state = judge.state();
    assert(new TextEncoder().encode(state).length < CHECKPOINT_BYTES_MAX - (6 << 20));
    const again = new Judge({ partition: 0, state });
    again.judge(record(count, trade(1, { symbol: "A" })));
    assert.deepEqual([again.counts.valid, again.counts.untracked], [1, 1]);
    // The last is not remembered, so that it may come twice; the first is.
    const [first, last] = [0, count - 1].map((i) =>
      record(count, trade(9_000_000_000, { symbol: `${name}${i}` }), null)
    );
    assert.deepEqual([judge.judge(first!).to, judge.judge(last!).to], ["rejected", "valid"]);
  },
);
