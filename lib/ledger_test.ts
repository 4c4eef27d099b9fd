import assert from "@std/assert";
import { crc32 } from "node:zlib";
import { Refusal } from "./failure.ts";
import type { Line } from "./lake/file/account.ts";
import { Ledger, readLedger, sha256 } from "./lake/file/ledger.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const place = { sink: "s", topic: "t", partition: 0, identity: "log", since: 1, pid: 1 };
const owner = (epoch: number, next = 0, origin = -1): Line => ({
  kind: "owner",
  format: 1,
  ...place,
  epoch,
  next,
  origin,
});
const unit = (first: number, last: number, next: number, epoch = 1): Line => ({
  kind: "unit",
  epoch,
  first,
  last,
  next,
  engine: "e",
  files: [],
});
const intent = (first: number, last: number): Line => ({ kind: "intent", epoch: 1, first, last });

async function inFile(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(`${folder}/a.ledger`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
async function written(path: string, lines: readonly Line[]): Promise<Ledger> {
  const ledger = await Ledger.open(path, () => {});
  for (const line of lines) await ledger.append(line);
  return ledger;
}

/** A file of well-formed, chained lines, whatever they say. */
function forged(entries: readonly object[]): string {
  let prev = "0".repeat(64);
  return entries.map((entry) => {
    const text = JSON.stringify({ ...entry, prev });
    prev = sha256(new TextEncoder().encode(text));
    return `${String(text.length).padStart(8, "0")} ${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
  }).join("");
}

Deno.test("entries come back as what they come to", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1), intent(3, 5), unit(3, 5, 9), owner(2, 9, 5), unit(6, 6, 10, 2)]);
    const { end: _end, head: _head, torn, fault, ...account } = await readLedger(path);
    assert.deepEqual([torn, fault], [0, null]);
    assert.deepEqual(account, ledger.account);
    assert.deepEqual(account.holding, {
      sink: "s",
      topic: "t",
      partition: 0,
      identity: "log",
      epoch: 2,
      next: 10,
      origin: 6,
      since: 1,
    });
    assert.deepEqual([account.intent, account.units.length], [null, 2]);
  }));

Deno.test(
  "a ledger cut at any byte loses its unfinished line alone, and can be written on",
  strict,
  () =>
    inFile(async (path) => {
      await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4)]);
      const whole = await Deno.readFile(path);
      const ends = [...whole].flatMap((byte, i) => byte === 10 ? [i + 1] : []);
      for (let cut = 0; cut < whole.length; cut++) {
        await Deno.writeFile(path, whole.subarray(0, cut));
        const kept = ends.filter((end) => end <= cut);
        const { end, torn, fault } = await readLedger(path);
        assert.deepEqual([end, torn, fault], [kept.at(-1) ?? 0, cut - (kept.at(-1) ?? 0), null], `cut at ${cut}`);
      }
      const lines: string[] = [];
      const ledger = await Ledger.open(path, (line) => lines.push(line));
      assert.equal(lines.length, 1);
      await ledger.append(unit(2, 3, 4));
      assert.deepEqual(await Deno.readFile(path), whole);
    }),
);

Deno.test("a hole of zeros in the last line is a crash's, and is cut", strict, () =>
  inFile(async (path) => {
    await written(path, [owner(1), unit(0, 1, 2)]);
    const bytes = await Deno.readFile(path);
    const last = bytes.lastIndexOf(10, bytes.length - 2) + 1;
    for (const [from, to] of [[last, bytes.length], [last + 30, bytes.length], [last, bytes.length - 1]]) {
      await Deno.writeFile(path, bytes.slice().fill(0, from, to));
      const { end, torn, fault } = await readLedger(path);
      assert.deepEqual([end, torn, fault], [last, bytes.length - last, null]);
    }
  }));

Deno.test("any flipped bit of a finished line is found, and nothing is cut", strict, () =>
  inFile(async (path) => {
    await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4)]);
    const whole = await Deno.readFile(path);
    // The line end of the last line is left out: without it the line was never finished.
    for (let at = 0; at < whole.length - 1; at++) {
      const changed = whole.slice();
      changed[at]! ^= 1 << (at % 7);
      await Deno.writeFile(path, changed);
      const { torn, fault } = await readLedger(path);
      assert.deepEqual([torn, fault?.kind], [0, "ledger"], `byte ${at}`);
      if (at % 50 === 0) await assert.rejects(Ledger.open(path, () => {}), Refusal);
    }
  }));

Deno.test("a line that is taken out, put in or exchanged breaks the chain", strict, () =>
  inFile(async (path) => {
    await written(path, [owner(1), unit(0, 1, 2), unit(2, 3, 4), unit(4, 5, 6)]);
    const [a, b, c, d] = (await Deno.readTextFile(path)).split(/(?<=\n)/) as [string, string, string, string];
    for (const lines of [[a, c, d], [a, b, b, c, d], [a, c, b, d], [b, c, d]]) {
      await Deno.writeTextFile(path, lines.join(""));
      assert.match((await readLedger(path)).fault?.detail ?? "", /chain is broken/);
    }
  }));

Deno.test("a well-chained ledger that cannot be is told by kind", strict, () =>
  inFile(async (path) => {
    const cases: readonly (readonly [string, readonly object[]])[] = [
      ["overlap", [owner(1), unit(0, 5, 6), unit(5, 9, 10)]],
      ["overlap", [owner(1), unit(5, 4, 6)]],
      ["overlap", [owner(1), unit(0, 5, 6), unit(6, 9, 5)]],
      ["ledger", [unit(0, 5, 6)]],
      ["ledger", [owner(2)]],
      ["ledger", [owner(1), owner(3)]],
      ["ledger", [owner(1), owner(2), unit(0, 5, 6, 1)]],
      ["ledger", [owner(1), owner(2, 7)]],
      ["ledger", [owner(1), intent(0, 5), unit(0, 6, 7)]],
      ["ledger", [{ ...owner(1), format: 2 }]],
      ["ledger", [{ ...owner(1), more: 1 }]],
    ];
    for (const [kind, entries] of cases) {
      await Deno.writeTextFile(path, forged(entries));
      assert.equal((await readLedger(path)).fault?.kind, kind, JSON.stringify(entries));
      await assert.rejects(Ledger.open(path, () => {}), Refusal);
    }
  }));

Deno.test("what cannot follow is never written", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1), unit(0, 5, 6)]);
    const before = await Deno.readFile(path);
    for (const line of [unit(5, 7, 8), unit(6, 7, 5), unit(6, 7, 8, 2), owner(1), intent(4, 9)]) {
      await assert.rejects(ledger.append(line), Refusal);
    }
    assert.deepEqual(await Deno.readFile(path), before);
    await ledger.append(unit(6, 7, 8));
  }));

Deno.test("two appends at once are one append and one refusal", strict, () =>
  inFile(async (path) => {
    const ledger = await written(path, [owner(1)]);
    const outcomes = await Promise.allSettled([ledger.append(unit(0, 1, 2)), ledger.append(unit(0, 1, 2))]);
    assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
    assert.equal((await readLedger(path)).units.length, 1);
  }));
